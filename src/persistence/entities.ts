/**
 * The rows. `district_id` leads every key, so that tenancy is a property of the keys and the schema spreads over
 * machines by it. Constraints live in the migrations; nothing here creates a table.
 */
import { defineEntity, p, type InferEntity } from '@mikro-orm/core';

export const Student = defineEntity({
  name: 'Student',
  tableName: 'students',
  properties: {
    districtId: p.string().primary(),
    id: p.uuid().primary(),
    studentNumber: p.string(),
    givenName: p.string(),
    familyName: p.string(),
    /** Names as they sort and are searched: SQLite's lower() leaves É as it is, so the application folds them. */
    givenNameFolded: p.string(),
    familyNameFolded: p.string(),
    birthDate: p.date().nullable(),
    gradeLevel: p.string().nullable(),
    disabilities: p.json<string[]>(),
    createTime: p.datetime(),
    updateTime: p.datetime(),
    /** Counts changes; the etag stands for it. */
    rowVersion: p.integer(),
  },
});
export type Student = InferEntity<typeof Student>;

export const Iep = defineEntity({
  name: 'Iep',
  tableName: 'ieps',
  properties: {
    districtId: p.string().primary(),
    id: p.uuid().primary(),
    studentId: p.uuid(),
    academicYear: p.string(),
    /** Number in the chain. A plain integer: the ORM's own `version` option means optimistic locking. */
    version: p.integer(),
    /** A plain column: as a relation to itself it would cost an extra update and commit-order work per row. */
    parentVersionId: p.uuid().nullable(),
    /** The document that the content was copied from. */
    basedOnIepId: p.uuid().nullable(),
    kind: p.string(),
    status: p.string(),
    content: p.json<Record<string, unknown>>(),
    meetingDate: p.date().nullable(),
    effectiveDate: p.date().nullable(),
    reviewDate: p.date().nullable(),
    createdBy: p.string(),
    createTime: p.datetime(),
    updateTime: p.datetime(),
    /** These three come with the approval. */
    approvedBy: p.string().nullable(),
    approveTime: p.datetime().nullable(),
    contentSha256: p.string().nullable(),
    /** Counts saves of the draft. */
    revision: p.integer(),
    /** Counts edits and status changes; the etag stands for it. */
    rowVersion: p.integer(),
  },
});
export type Iep = InferEntity<typeof Iep>;

export const Goal = defineEntity({
  name: 'Goal',
  tableName: 'goals',
  properties: {
    districtId: p.string().primary(),
    id: p.uuid().primary(),
    iepId: p.uuid(),
    /** The goal and those that carry it on in later versions share it; progress belongs to it. */
    lineageId: p.uuid(),
    position: p.integer(),
    goalKey: p.string(),
    domain: p.string().nullable(),
    goalText: p.string(),
    baseline: p.string(),
    targetCriteria: p.string(),
    measurementMethod: p.string(),
    measurementFrequency: p.string().nullable(),
    startDate: p.date().nullable(),
    targetDate: p.date().nullable(),
  },
});
export type Goal = InferEntity<typeof Goal>;

/** One row per change, written in its transaction and never pruned: audit, change feed and idempotency record in one. */
export const ChangeEvent = defineEntity({
  name: 'ChangeEvent',
  tableName: 'events',
  properties: {
    districtId: p.string().primary(),
    id: p.uuid().primary(),
    rpc: p.string(),
    requestId: p.uuid().nullable(),
    /** Place in a batch, from 0. */
    requestIndex: p.integer(),
    requestHash: p.string().nullable(),
    actor: p.string(),
    eventTime: p.datetime(),
    studentId: p.uuid(),
    iepId: p.uuid().nullable(),
    fromStatus: p.string().nullable(),
    toStatus: p.string().nullable(),
    rowVersion: p.integer(),
    changedPaths: p.json<string[]>(),
    contentSha256: p.string().nullable(),
  },
});
export type ChangeEvent = InferEntity<typeof ChangeEvent>;

/** What was said of a change of status. Apart from the event, which holds no personal values. */
export const EventComment = defineEntity({
  name: 'EventComment',
  tableName: 'event_comments',
  properties: {
    districtId: p.string().primary(),
    eventId: p.uuid().primary(),
    comment: p.string(),
  },
});

/** Progress towards a goal. Only ever added. */
export const ProgressNote = defineEntity({
  name: 'ProgressNote',
  tableName: 'progress_notes',
  properties: {
    districtId: p.string().primary(),
    id: p.uuid().primary(),
    /** Orders the notes of a lineage; the database counts. */
    seq: p.integer().persist(false),
    lineageId: p.uuid(),
    /** The version on which it was recorded. */
    iepId: p.uuid(),
    status: p.string().nullable(),
    note: p.string(),
    recordedBy: p.string(),
    recordTime: p.datetime(),
  },
});
export type ProgressNote = InferEntity<typeof ProgressNote>;

export const entities = [Student, Iep, Goal, ChangeEvent, EventComment, ProgressNote];
