/** What a watch tells, as messages. Pure. */
import { create } from '@bufbuild/protobuf';
import { timestampFromDate, timestampNow } from '@bufbuild/protobuf/wkt';
import { IepStatus } from '../gen/iep/v1/iep_pb.ts';
import { IepChangeType, type WatchIepsResponse, WatchIepsResponseSchema } from '../gen/iep/v1/watch_pb.ts';
import type { FeedEvent } from '../iep/feed-events.ts';
import type { IepDocument } from '../iep/iep-document.ts';
import type { WatchMessage } from '../iep/watch-ieps.ts';
import { rememberForTurn } from '../turn-memory.ts';
import { numberOf, toIep } from './messages.ts';

const TYPES: Readonly<Record<string, IepChangeType>> = {
  CreateIep: IepChangeType.CREATED,
  UpdateIep: IepChangeType.UPDATED,
  SubmitIep: IepChangeType.STATUS_CHANGED,
  ReturnIep: IepChangeType.STATUS_CHANGED,
  ApproveIep: IepChangeType.STATUS_CHANGED,
  ActivateIep: IepChangeType.STATUS_CHANGED,
  EndIep: IepChangeType.STATUS_CHANGED,
  DiscardIep: IepChangeType.STATUS_CHANGED,
  RecordGoalProgress: IepChangeType.PROGRESS_RECORDED,
};

/** By the token: watches of one scope that read a document together send one message, which is made, and encoded, once. */
const messagesOf = rememberForTurn((_document: IepDocument) => new Map<string, WatchIepsResponse>());

export function toWatchIepsResponse({ change }: WatchMessage, resumeToken: string): WatchIepsResponse {
  if (change === undefined) {
    return create(WatchIepsResponseSchema, {
      resumeToken,
      payload: { case: 'heartbeat', value: { time: timestampNow() } },
    });
  }
  const { event, document } = change;
  const byToken = messagesOf(document);
  const message =
    byToken.get(resumeToken) ??
    create(WatchIepsResponseSchema, { resumeToken, payload: { case: 'change', value: toChange(event, document) } });
  byToken.set(resumeToken, message);
  return message;
}

function toChange(event: FeedEvent, document: IepDocument) {
  return {
    eventId: event.eventId,
    type: TYPES[event.rpc] ?? IepChangeType.UNSPECIFIED,
    iep: toIep(document),
    fromStatus: numberOf(IepStatus, event.fromStatus),
    toStatus: numberOf(IepStatus, event.toStatus),
    changeTime: timestampFromDate(event.time),
    actor: event.actor,
  };
}
