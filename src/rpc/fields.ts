/**
 * Rules for single fields: each function answers the normalised value, or reports what is wrong and answers something of
 * the right type, so that one look finds every bad field.
 */
import { isBlank } from '../iep/blank.ts';
import { type Violation, Refusal } from '../iep/errors.ts';

export type Report = (field: string, description: string) => void;

/** What `read` makes of a request; INVALID_FIELD with everything that it reports. */
export function checked<T>(read: (report: Report) => T): T {
  const violations: Violation[] = [];
  const value = read((field, description) => violations.push({ field, description }));
  if (violations.length > 0) {
    throw new Refusal('INVALID_FIELD', { violations });
  }
  return value;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NIL_OR_MAX = /^[0-]+$|^[f-]+$/;

export function uuid(report: Report, field: string, value: string): string {
  const lower = value.toLowerCase();
  if (value === '') {
    report(field, 'is required: a UUID');
  } else if (!UUID.test(lower) || NIL_OR_MAX.test(lower)) {
    report(field, 'must be a UUID in the form 8-4-4-4-12, neither the nil nor the max one');
  }
  return lower;
}

export function optionalUuid(report: Report, field: string, value: string): string | undefined {
  return value === '' ? undefined : uuid(report, field, value);
}

const ACADEMIC_YEAR = /^([0-9]{4})-([0-9]{4})$/;

export function academicYear(report: Report, field: string, value: string): string {
  const [, first, second] = ACADEMIC_YEAR.exec(value) ?? [];
  if (first === undefined || second === undefined) {
    report(field, 'must be two years as YYYY-YYYY in ASCII digits, like 2025-2026');
  } else if (Number(second) !== Number(first) + 1) {
    report(field, 'must be two consecutive years, like 2025-2026');
  } else if (Number(first) < 1990 || Number(first) > 2098) {
    report(field, 'must begin in 1990 to 2098');
  }
  return value;
}

const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

/** A bad one counts as not given: what is compared with it would be reported for nothing. */
export function date(report: Report, field: string, value: string): string | null {
  if (value === '') {
    return null;
  }
  // A day that the month does not have is read as one of the next month.
  if (!DATE.test(value) || new Date(value).getUTCDate() !== Number(value.slice(8))) {
    report(field, 'must be a calendar day as YYYY-MM-DD');
    return null;
  }
  if (value < '1900-01-01' || value > '2199-12-31') {
    report(field, 'must lie from 1900-01-01 to 2199-12-31');
    return null;
  }
  return value;
}

/** Reports `later` when it lies before `earlier`. */
export function notBefore(report: Report, later: [string, string | null], earlier: [string, string | null]): void {
  if (later[1] !== null && earlier[1] !== null && later[1] < earlier[1]) {
    report(later[0], `must not lie before ${earlier[0].split('.').at(-1)}`);
  }
}

const CONTROL = /\p{Cc}/u;
const CONTROL_BUT_NEWLINE_AND_TAB = /[^\P{Cc}\n\t]/u;
/** Controls of the bidirectional algorithm, https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

export interface TextRule {
  readonly max: number;
  readonly required?: boolean;
  /** Newline and tab are fine. */
  readonly multiline?: boolean;
}

export function text(report: Report, field: string, value: string, rule: TextRule): string {
  const normalised = value.trim().normalize('NFC');
  if (normalised === '') {
    if (rule.required) {
      report(field, `is required: 1 to ${rule.max} characters`);
    }
    return normalised;
  }
  if (isLonger(normalised, rule.max)) {
    report(field, `must have at most ${rule.max} characters`);
  } else if (!normalised.isWellFormed()) {
    report(field, 'must not contain lone surrogates');
  } else if ((rule.multiline ? CONTROL_BUT_NEWLINE_AND_TAB : CONTROL).test(normalised)) {
    report(field, `must not contain control characters${rule.multiline ? ' other than newline and tab' : ''}`);
  } else if (BIDI.test(normalised)) {
    report(field, 'must not contain bidirectional controls');
  } else if (rule.required && isBlank(normalised)) {
    report(field, 'must contain a visible character');
  }
  return normalised;
}

/** Than so many code points, of which each has one or two UTF-16 units. */
function isLonger(value: string, max: number): boolean {
  return value.length > max && (value.length > 2 * max || Array.from(value).length > max);
}

/** Name of an enum's value; undefined for UNSPECIFIED. */
export function enumName(
  report: Report,
  field: string,
  values: Readonly<Record<string, number>>,
  value: number,
): string | undefined {
  if (value === 0) {
    return undefined;
  }
  const name = Object.keys(values).find((key) => values[key] === value);
  if (name === undefined) {
    report(field, `has no value ${value}; see its enum for those there are`);
  }
  return name;
}
