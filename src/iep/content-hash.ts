import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { GoalContent, IepDocument } from './iep-document.ts';

/**
 * SHA-256 of what a version says, in lower-case hex: over the RFC 8785 canonical JSON of the ProtoJSON form of an Iep that
 * keeps only these fields, so that a client can compute it again. Values of enums carry their prefix there, and defaults
 * are left out; the content is a message, and so is there even when it is empty.
 */
export function contentSha256({ iep, goals }: IepDocument): string {
  const { content, meetingDate, effectiveDate, reviewDate } = iep;
  const said = {
    content,
    ...given({ meetingDate, effectiveDate, reviewDate }),
    ...(goals.length > 0 && { goals: goals.map(goalSaid) }),
  };
  return createHash('sha256').update(canonicalize(said)!).digest('hex');
}

function goalSaid(goal: GoalContent): Record<string, string> {
  const { domain, measurementFrequency } = goal;
  return given({
    goalKey: goal.goalKey,
    goalText: goal.goalText,
    baseline: goal.baseline,
    targetCriteria: goal.targetCriteria,
    measurementMethod: goal.measurementMethod,
    startDate: goal.startDate,
    targetDate: goal.targetDate,
    domain: domain && `GOAL_DOMAIN_${domain}`,
    measurementFrequency: measurementFrequency && `MEASUREMENT_FREQUENCY_${measurementFrequency}`,
  });
}

function given(fields: Record<string, string | null | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter((field): field is [string, string] => Boolean(field[1])));
}
