import type { Failure } from '../retry.ts';

/** `code` of an error, or of the error that it wraps. */
export function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') {
      return at.code;
    }
  }
  return undefined;
}

/** The message of the innermost error: some of pg's errors carry no code. */
export function rootMessage(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause !== undefined) {
    root = root.cause;
  }
  return root instanceof Error ? root.message : '';
}

/** Makes the function that tells what an error means, by its code, or by its message where it has none. */
export function classifier(
  table: Partial<Record<Failure, readonly string[]>>,
  byMessage: readonly [RegExp, Failure][] = [],
) {
  const byCode = new Map<string, Failure>();
  for (const [failure, codes] of Object.entries(table)) {
    codes.forEach((code) => byCode.set(code, failure as Failure));
  }
  return (error: unknown): Failure => {
    const code = codeOf(error);
    if (code !== undefined) {
      return byCode.get(code) ?? 'permanent';
    }
    const message = rootMessage(error);
    return byMessage.find(([pattern]) => pattern.test(message))?.[1] ?? 'permanent';
  };
}
