/** JSON Merge Patch against the RFC's own examples, and against what it promises of any documents. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergePatch } from '../src/iep/merge-patch.ts';

/** https://www.rfc-editor.org/rfc/rfc7396#appendix-A: original, patch, result. */
const EXAMPLES: [string, string, string][] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', 'null', 'null'],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
];

const HOSTILE: [string, string, string][] = [
  ['{}', '{"__proto__":{"polluted":1}}', '{"__proto__":{"polluted":1}}'],
  ['{"__proto__":{"a":1}}', '{"__proto__":{"b":2}}', '{"__proto__":{"a":1,"b":2}}'],
  ['{"__proto__":1,"a":2}', '{"__proto__":null}', '{"a":2}'],
  [
    '{"constructor":{"prototype":{}}}',
    '{"constructor":{"prototype":{"x":1}}}',
    '{"constructor":{"prototype":{"x":1}}}',
  ],
  ['{}', '{"toString":{"x":null},"hasOwnProperty":1}', '{"toString":{},"hasOwnProperty":1}'],
];

/** By the text of RFC 7396, section 2, on Maps, which have no prototype to fall for. */
function expected(target: unknown, patch: unknown): unknown {
  if (!(patch instanceof Map)) {
    return patch;
  }
  const result = new Map<unknown, unknown>(target instanceof Map ? target : []);
  for (const [name, value] of patch as Map<unknown, unknown>) {
    if (value === null) {
      result.delete(name);
    } else {
      result.set(name, expected(result.get(name), value));
    }
  }
  return result;
}

function toMaps(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value;
  }
  return typeof value === 'object' && value !== null
    ? new Map(Object.entries(value).map(([key, item]) => [key, toMaps(item)]))
    : value;
}

const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor', '');
const { document } = fc.letrec<{ document: unknown }>((tie) => ({
  document: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(fc.constant(null), fc.integer(), fc.string(), fc.array(fc.constant(null), { maxLength: 2 })),
    fc.array(fc.tuple(key, tie('document')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

describe('a merge patch', () => {
  it.each([...EXAMPLES, ...HOSTILE])('makes of %s with %s %s', (original, patch, result) => {
    expect(JSON.stringify(mergePatch(JSON.parse(original), JSON.parse(patch)))).toBe(result);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it('does with any documents what the RFC says, and changes neither', () => {
    fc.assert(
      fc.property(document, document, (target, patch) => {
        const before = JSON.stringify([target, patch]);
        const result = mergePatch(target, patch);
        expect(toMaps(result)).toEqual(expected(toMaps(target), toMaps(patch)));
        expect(JSON.stringify([target, patch])).toBe(before);
        // What it says twice is said once.
        expect(mergePatch(result, patch)).toEqual(result);
      }),
    );
  });
});
