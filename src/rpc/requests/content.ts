import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { contentBytes, MAX_CONTENT_BYTES } from '../../iep/content-size.ts';
import type { Report } from '../fields.ts';

const MAX_DEPTH = 16;
/** Of one path segment: a key may be as long as the content. */
const MAX_SEGMENT = 40;

/** Made when something is wrong there. */
type Path = () => string;

/**
 * Checks the district's own sections and answers them with -0 as 0. Nothing else in them is touched. A Value without a kind
 * comes as undefined, see decode.ts.
 */
export function content(report: Report, field: string, value: JsonObject): JsonObject {
  let sound = true;
  const bad = (path: Path, description: string) => {
    sound = false;
    report(path(), description);
  };

  function string(path: Path, text: string): string {
    if (text.includes('\u0000')) {
      bad(path, 'must not contain U+0000');
    } else if (!text.isWellFormed()) {
      bad(path, 'must not contain lone surrogates');
    }
    return text;
  }

  function walk(path: Path, node: JsonValue | undefined, depth: number): JsonValue {
    if (node === undefined) {
      bad(path, 'must be a Value with a kind');
      return null;
    }
    if (typeof node === 'string') {
      return string(path, node);
    }
    if (typeof node === 'number') {
      if (!Number.isFinite(node)) {
        bad(path, 'must be a finite number');
      }
      return node === 0 ? 0 : node;
    }
    if (typeof node !== 'object' || node === null) {
      return node;
    }
    if (depth > MAX_DEPTH) {
      bad(path, `must not be nested more than ${MAX_DEPTH} deep`);
      return null;
    }
    return Array.isArray(node)
      ? node.map((item, index) => walk(() => `${path()}[${index}]`, item, depth + 1))
      : Object.fromEntries(
          Object.entries(node).map(([key, item]) => {
            const inner = () => `${path()}.${segment(key)}`;
            return [string(inner, key), walk(inner, item, depth + 1)];
          }),
        );
  }

  const walked = walk(() => field, value, 1) as JsonObject;
  if (sound && contentBytes(walked) > MAX_CONTENT_BYTES) {
    report(field, `must have at most ${MAX_CONTENT_BYTES} bytes of canonical JSON`);
  }
  return walked;
}

function segment(key: string): string {
  const printable = key.toWellFormed().replaceAll(/\p{C}/gu, '\ufffd');
  return printable.length <= MAX_SEGMENT ? printable : `${printable.slice(0, MAX_SEGMENT).toWellFormed()}…`;
}
