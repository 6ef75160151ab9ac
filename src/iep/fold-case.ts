/**
 * Text as it compares without regard to case. Lower case alone leaves a final Σ and ß different from their upper case;
 * going on to upper case makes them meet.
 */
export function foldCase(text: string): string {
  return text.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC');
}

/** The least text, in code point order, after everything that starts with `prefix`; none when there is no such text. */
export function prefixEnd(prefix: string): string | undefined {
  const codePoints = Array.from(prefix, (character) => character.codePointAt(0)!);
  while (codePoints.length > 0) {
    const last = codePoints.pop()!;
    if (last < 0x10ffff) {
      // No text holds half a surrogate pair.
      return String.fromCodePoint(...codePoints, last === 0xd7ff ? 0xe000 : last + 1);
    }
  }
  return undefined;
}
