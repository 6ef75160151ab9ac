import type { Duration } from '@bufbuild/protobuf/wkt';
import type { WatchIepsRequest } from '../../gen/iep/v1/watch_pb.ts';
import type { WatchQuery } from '../../iep/watch-ieps.ts';
import { checked, optionalUuid, type Report } from '../fields.ts';
import { readResumeToken } from '../watch-token.ts';

const HEARTBEAT_DEFAULT_MS = 10_000;
const HEARTBEAT_MIN_MS = 100;
const HEARTBEAT_MAX_MS = 300_000;

/** The message as a query; its token must be of the caller's district. Pure. */
export function toWatchIeps(request: WatchIepsRequest, districtId: string): WatchQuery {
  return checked((report) => {
    const studentId = optionalUuid(report, 'student_id', request.studentId);
    return {
      studentId,
      after: readResumeToken(report, request.resumeToken, { districtId, studentId }),
      heartbeatMs: heartbeatMs(report, 'heartbeat_interval', request.heartbeatInterval),
    };
  });
}

function heartbeatMs(report: Report, field: string, value: Duration | undefined): number {
  if (value === undefined) {
    return HEARTBEAT_DEFAULT_MS;
  }
  const ms = Number(value.seconds) * 1000 + value.nanos / 1e6;
  if (!(ms >= HEARTBEAT_MIN_MS && ms <= HEARTBEAT_MAX_MS)) {
    report(field, `must be ${HEARTBEAT_MIN_MS / 1000} s to ${HEARTBEAT_MAX_MS / 1000} s`);
    return HEARTBEAT_DEFAULT_MS;
  }
  return ms;
}
