/** The most that a version's content may have, in bytes of canonical JSON (RFC 8785) in UTF-8. */
export const MAX_CONTENT_BYTES = 256 * 1024;

/** Canonical JSON is what JSON.stringify makes, with the keys in order, so it has the same length. */
export function contentBytes(content: object): number {
  return Buffer.byteLength(JSON.stringify(content));
}
