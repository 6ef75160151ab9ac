/** Messages that look for IEPs and what happened to them, to queries: normalised and checked. Pure. */
import type { ListAuditEventsRequest } from '../../gen/iep/v1/audit_pb.ts';
import { IepStatus } from '../../gen/iep/v1/iep_pb.ts';
import type { GetIepRequest, GetLatestIepRequest, ListIepsRequest } from '../../gen/iep/v1/iep_service_pb.ts';
import type { IepPlace } from '../../iep/find-ieps.ts';
import type { ListAuditEventsQuery } from '../../iep/list-audit-events.ts';
import type { ListIepsQuery } from '../../iep/list-ieps.ts';
import { academicYear, checked, date, enumName, optionalUuid, type Report, uuid } from '../fields.ts';
import { decodePageToken, type Page, pageSize } from '../pages.ts';

export function toGetIep(request: GetIepRequest): { iepId: string } | IepPlace {
  return checked((report) => {
    const place = { student_id: request.studentId, academic_year: request.academicYear, version: request.version };
    const given = Object.entries(place).filter(([, value]) => value !== '' && value !== 0);
    if (request.iepId !== '') {
      given.forEach(([field]) => report(field, 'must be empty with iep_id, which names the version already'));
      return { iepId: uuid(report, 'iep_id', request.iepId) };
    }
    if (given.length === 0) {
      report('iep_id', 'is required: a UUID; or instead student_id, academic_year and version');
      return { iepId: '' };
    }
    if (request.version < 1) {
      report('version', request.version === 0 ? 'is required: a number from 1' : 'must be at least 1');
    }
    return { ...toChain(report, request), version: request.version };
  });
}

export function toGetLatestIep(request: GetLatestIepRequest): IepPlace {
  return checked((report) => toChain(report, request));
}

function toChain(report: Report, request: { studentId: string; academicYear: string }): IepPlace {
  return {
    studentId: uuid(report, 'student_id', request.studentId),
    academicYear: academicYear(report, 'academic_year', request.academicYear),
  };
}

export function toListIeps(request: ListIepsRequest): Page<Omit<ListIepsQuery, 'limit'>> {
  return checked((report) => {
    const filters = {
      studentId: optionalUuid(report, 'student_id', request.studentId),
      academicYear:
        request.academicYear === '' ? undefined : academicYear(report, 'academic_year', request.academicYear),
      status: enumName(report, 'status', IepStatus, request.status),
      reviewDateBefore: date(report, 'review_date_before', request.reviewDateBefore) ?? undefined,
      latestOnly: request.latestOnly,
    };
    const after = decodePageToken(report, request.pageToken, 'ListIeps', filters);
    return { query: { ...filters, after }, pageSize: pageSize(report, request.pageSize), filters };
  });
}

export function toListAuditEvents(request: ListAuditEventsRequest): Page<Omit<ListAuditEventsQuery, 'limit'>> {
  return checked((report) => {
    const subject = auditSubject(report, request);
    const after = decodePageToken(report, request.pageToken, 'ListAuditEvents', subject);
    return { query: { subject, after: after?.id }, pageSize: pageSize(report, request.pageSize), filters: subject };
  });
}

function auditSubject(report: Report, { studentId, iepId }: ListAuditEventsRequest): ListAuditEventsQuery['subject'] {
  if (studentId !== '' && iepId !== '') {
    report('iep_id', 'must be empty with student_id: give one of the two');
  }
  if (iepId !== '') {
    return { iepId: uuid(report, 'iep_id', iepId) };
  }
  if (studentId === '') {
    report('student_id', 'is required: a UUID; or instead iep_id');
    return { studentId };
  }
  return { studentId: uuid(report, 'student_id', studentId) };
}
