/**
 * The result of a JSON Merge Patch, https://www.rfc-editor.org/rfc/rfc7396. Neither argument is changed; the result may
 * share parts with both. Every key is a key like others, `__proto__` too: Object.fromEntries defines properties and sets
 * none.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) {
    return patch;
  }
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      merged.delete(key);
    } else {
      merged.set(key, mergePatch(merged.get(key), value));
    }
  }
  return Object.fromEntries(merged);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
