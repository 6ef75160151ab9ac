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

/** On whose behalf a handler runs. Both listeners give every call a deadline. */
export function callerOf(context: HandlerContext): Caller {
  return {
    ...context.values.get(identityKey),
    deadline: Date.now() + (context.timeoutMs() ?? 0),
    signal: context.signal,
  };
}
