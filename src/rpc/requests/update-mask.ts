import type { FieldMask } from '@bufbuild/protobuf/wkt';
import type { Report } from '../fields.ts';

/**
 * The fields that an update changes: those that the mask names, all of `known` for "*", and without a mask those that the
 * caller has filled in the resource.
 */
export function updatePaths<Path extends string>(
  report: Report,
  resource: string,
  mask: FieldMask | undefined,
  known: readonly Path[],
  filled: readonly string[],
): readonly Path[] {
  const named = mask?.paths ?? [];
  if (named.includes('*')) {
    return known;
  }
  for (const path of named.filter((name) => !known.some((other) => other === name))) {
    const printable = path.slice(0, 40).toWellFormed();
    report('update_mask', `cannot hold "${printable}", only "*" and ${known.join(', ')}`);
  }
  const paths = known.filter((path) => (named.length > 0 ? named : filled).includes(path));
  if (paths.length === 0 && named.length === 0) {
    report('update_mask', `must name a field to change, or \`${resource}\` must have one filled`);
  }
  return paths;
}
