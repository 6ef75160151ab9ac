import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { Caller } from '../iep/caller.ts';

/** Names the call in logs and errors. */
export const requestIdKey = createContextKey('', { description: 'request id' });

export interface Identity {
  readonly districtId: string;
  readonly principal: string;
}

export const identityKey = createContextKey<Identity>(
  { districtId: 'default', principal: 'anonymous' },
  { description: 'identity' },
);

/** Milliseconds since 1970. Both listeners give every call one. */
export const deadlineKey = createContextKey(Infinity, { description: 'deadline' });

/** On whose behalf a handler runs. */
export function callerOf(context: HandlerContext): Caller {
  return {
    ...context.values.get(identityKey),
    deadline: context.values.get(deadlineKey),
    signal: context.signal,
  };
}
