import type { SqlFragments } from '../persistence/dialects/dialect.ts';
import type { ProgressNote } from '../persistence/entities.ts';
import { type JsonRow, named } from '../persistence/json-rows.ts';

/** A note as readers see it. */
type NoteContent = Pick<ProgressNote, 'id' | 'status' | 'note' | 'recordedBy' | 'recordTime'>;

/** What was noted of a goal, on whichever version of its lineage. */
export interface GoalProgress {
  /** Of the last note that has one. */
  readonly progressStatus: string;
  /** The newest, oldest first. */
  readonly progress: readonly NoteContent[];
}

export const NO_PROGRESS: GoalProgress = { progressStatus: 'NOT_STARTED', progress: [] };

const MAX_NOTES = 100;
/**
 * What the notes of one document may take. The largest document in ASCII has less than 2 MiB besides, so that it stays
 * below the 4 MiB that clients read.
 */
const MAX_DOCUMENT_BYTES = 2 * 1024 * 1024;
/** Of a note besides its text: id, author, time and framing. */
const NOTE_BYTES = 128;

const NOTE_COLUMNS = {
  id: 'id',
  status: 'status',
  note: 'note',
  recordedBy: 'recorded_by',
  recordTime: 'record_time',
} satisfies { [Field in keyof NoteContent]: string };

const LINEAGE = 'district_id = goals.district_id and lineage_id = goals.lineage_id';

/**
 * The columns of `goals` that tell of progress: the last status, over all notes, and the notes to show. Those are read
 * from the end of the lineage's key, at most MAX_NOTES of them; the share is asked for only where there are notes.
 */
export const progressColumns = (sql: SqlFragments) => [
  `(select status from progress_notes where ${LINEAGE} and status is not null order by seq desc limit 1)`,
  sql.json(`(
    select ${sql.jsonRows(Object.values(NOTE_COLUMNS), 'seq')}
    from (
      select *, sum(octet_length(note) + ${NOTE_BYTES}) over (order by seq desc) as bytes
      from (select * from progress_notes where ${LINEAGE} order by seq desc limit ${MAX_NOTES}) as newest
    ) as sized
    where bytes <= ${MAX_DOCUMENT_BYTES} / (
      select count(*) from goals as siblings
      where siblings.district_id = goals.district_id and siblings.iep_id = goals.iep_id
    )
  )`),
];

/** What is read by `progressColumns`. */
export type ProgressRow = readonly [lastStatus: string | null, notes: readonly JsonRow[] | null];

const NOTE_FIELDS = Object.keys(NOTE_COLUMNS) as (keyof NoteRow)[];

interface NoteRow extends Omit<NoteContent, 'recordTime'> {
  readonly recordTime: string | number;
}

export function progressOf([lastStatus, notes]: ProgressRow): GoalProgress {
  return {
    progressStatus: lastStatus ?? NO_PROGRESS.progressStatus,
    progress: (notes ?? []).map((values) => {
      const note = named<NoteRow>(NOTE_FIELDS, values);
      return { ...note, recordTime: new Date(note.recordTime) };
    }),
  };
}
