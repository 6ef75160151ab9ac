import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { contentBytes, MAX_CONTENT_BYTES } from '../../iep/content-size.ts';
import type { Report } from '../fields.ts';

const MAX_DEPTH = 16;
/** Of one path segment: a key may be as long as the content. */
const MAX_SEGMENT = 40;

/** Made when something is wrong there. */
type Path = () => string;

/**
 * Checks the district's own sections and makes each -0 in them 0, in place: nobody else has them, and a copy of them all
 * costs more than the check. Nothing else in them is touched. A Value without a kind comes as undefined, see decode.ts.
 */
export function content(report: Report, field: string, value: JsonObject): JsonObject {
  let sound = true;
  const bad = (path: Path, description: string) => {
    sound = false;
    report(path(), description);
  };

  function checkText(path: Path, text: string): void {
    if (text.includes('\u0000')) {
      bad(path, 'must not contain U+0000');
    } else if (!text.isWellFormed()) {
      bad(path, 'must not contain lone surrogates');
    }
  }

  /** The value that stands for this one. */
  function settle(path: Path, node: JsonValue | undefined, depth: number): JsonValue {
    switch (typeof node) {
      case 'undefined':
        bad(path, 'must be a Value with a kind');
        return null;
      case 'string':
        checkText(path, node);
        return node;
      case 'number':
        if (!Number.isFinite(node)) {
          bad(path, 'must be a finite number');
        }
        return node === 0 ? 0 : node;
      case 'object':
        if (node !== null) {
          settleInside(path, node, depth);
        }
        return node;
      default:
        return node;
    }
  }

  function settleInside(path: Path, container: JsonObject | JsonValue[], depth: number): void {
    if (depth > MAX_DEPTH) {
      bad(path, `must not be nested more than ${MAX_DEPTH} deep`);
    } else if (Array.isArray(container)) {
      container.forEach((item, index) => {
        container[index] = settle(() => `${path()}[${index}]`, item, depth + 1);
      });
    } else {
      Object.keys(container).forEach((key) => {
        const inner = () => `${path()}.${segment(key)}`;
        checkText(inner, key);
        container[key] = settle(inner, container[key], depth + 1);
      });
    }
  }

  settleInside(() => field, value, 1);
  if (sound && contentBytes(value) > MAX_CONTENT_BYTES) {
    report(field, `must have at most ${MAX_CONTENT_BYTES} bytes of canonical JSON`);
  }
  return value;
}

function segment(key: string): string {
  const printable = key.toWellFormed().replaceAll(/\p{C}/gu, '\ufffd');
  return printable.length <= MAX_SEGMENT ? printable : `${printable.slice(0, MAX_SEGMENT).toWellFormed()}…`;
}
