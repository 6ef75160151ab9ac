const INVISIBLE = /^[\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800\s]*$/u;

/** Whether nobody can see anything in the text. */
export function isBlank(text: string): boolean {
  return INVISIBLE.test(text);
}
