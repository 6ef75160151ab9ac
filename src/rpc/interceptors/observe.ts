import { randomUUID } from 'node:crypto';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Logger } from '../../log.ts';
import { requestIdKey } from '../call-context.ts';
import { reasonOf } from '../errors.ts';

const HEADER = 'x-request-id';
const ACCEPTABLE = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Outermost: gives the call an id, the caller's `x-request-id` where there is a fitting one, and logs how it ended. No line
 * holds anything from the messages.
 */
export function observe(log: Logger): Interceptor {
  return (next) => async (request) => {
    const given = request.header.get(HEADER) ?? '';
    const requestId = ACCEPTABLE.test(given) ? given : randomUUID();
    request.contextValues.set(requestIdKey, requestId);
    const started = performance.now();
    const facts = () => ({ rpc: request.method.name, requestId, ms: Math.round(performance.now() - started) });
    const failed = (thrown: unknown) => {
      const error = ConnectError.from(thrown);
      error.metadata.set(HEADER, requestId);
      const level = error.code === Code.Internal ? 'error' : 'info';
      log[level]({ ...facts(), code: Code[error.code], reason: reasonOf(error), ...causeOf(error) }, 'failed');
      return error;
    };
    const ended = () => log.debug(facts(), 'ok');
    try {
      const response = await next(request);
      response.header.set(HEADER, requestId);
      if (response.stream) {
        return { ...response, message: observed(response.message, failed, ended) };
      }
      ended();
      return response;
    } catch (thrown) {
      throw failed(thrown);
    }
  };
}

/** The same messages. They end with an error, by themselves, or when the caller takes no more of them. */
async function* observed<T>(
  messages: AsyncIterable<T>,
  failed: (error: unknown) => Error,
  ended: () => void,
): AsyncGenerator<T> {
  let failure: Error | undefined;
  try {
    yield* messages;
  } catch (error) {
    failure = failed(error);
    throw failure;
  } finally {
    if (failure === undefined) {
      ended();
    }
  }
}

/** What led to an error, without its words: a driver's message holds the statement with its values. */
function causeOf({ cause, code }: ConnectError): object {
  if (!(cause instanceof Error)) {
    return {};
  }
  const chain: Error[] = [];
  for (let at: unknown = cause; at instanceof Error; at = at.cause) {
    chain.push(at);
  }
  const codes = chain.map((error) => ('code' in error ? `${error.name} ${String(error.code)}` : error.name));
  return { cause: codes.join(' < '), ...(code === Code.Internal && { stack: framesOf(cause, chain) }) };
}

/** The stack without the message in it, whose lines may look like calls. */
function framesOf({ stack = '' }: Error, chain: readonly Error[]): string {
  const words = new Set(chain.flatMap(({ message }) => message.split('\n')).map((line) => line.trim()));
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line) && !words.has(line.trim()));
  return frames.join('\n');
}
