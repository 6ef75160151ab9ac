/** Messages about students to commands: normalised and checked. Pure, but for today's date. */
import { isFieldSet } from '@bufbuild/protobuf';
import type {
  BatchCreateStudentsRequest,
  CreateStudentRequest,
  GetStudentRequest,
  ListStudentsRequest,
  UpdateStudentRequest,
} from '../../gen/iep/v1/iep_service_pb.ts';
import { Disability, type Student, StudentSchema } from '../../gen/iep/v1/student_pb.ts';
import type { CreateStudentsCommand, StudentFields } from '../../iep/create-students.ts';
import type { ListStudentsQuery } from '../../iep/find-students.ts';
import type { UpdateStudentCommand } from '../../iep/update-student.ts';
import { checked, date, enumName, optionalUuid, type Report, text, uuid } from '../fields.ts';
import { decodePageToken, type Page, pageSize } from '../pages.ts';
import { updatePaths } from './update-mask.ts';

const NAME = { max: 100, required: true };
const STUDENT_NUMBER = { max: 50, required: true };
const GRADE_LEVELS = ['PK', 'K', ...Array.from({ length: 12 }, (_, index) => `${index + 1}`), 'AGE_OUT'];
const MAX_DISABILITIES = 14;
const MAX_BATCH = 1000;
/** The oldest age at which a student is still served. */
const MAX_AGE = 26;

export function toCreateStudent({ student, requestId }: CreateStudentRequest): CreateStudentsCommand {
  return checked((report) => ({
    students: student === undefined ? missing(report, 'student') : [studentFields(report, 'student', student)],
    requestId: optionalUuid(report, 'request_id', requestId),
  }));
}

export function toBatchCreateStudents({ students, requestId }: BatchCreateStudentsRequest): CreateStudentsCommand {
  return checked((report) => {
    if (students.length === 0 || students.length > MAX_BATCH) {
      report('students', `must hold 1 to ${MAX_BATCH} students, not ${students.length}`);
    }
    const fields = students
      .slice(0, MAX_BATCH)
      .map((student, index) => studentFields(report, `students[${index}]`, student));
    const first = new Map<string, number>();
    fields.forEach(({ studentNumber }, index) => {
      const earlier = first.get(studentNumber);
      if (earlier === undefined) {
        first.set(studentNumber, index);
      } else if (studentNumber !== '') {
        report(`students[${index}].student_number`, `must not be that of students[${earlier}]`);
      }
    });
    return { students: fields, requestId: optionalUuid(report, 'request_id', requestId) };
  });
}

export function toGetStudent({ studentId }: GetStudentRequest): string {
  return checked((report) => uuid(report, 'student_id', studentId));
}

export function toListStudents(request: ListStudentsRequest): Page<Omit<ListStudentsQuery, 'limit'>> {
  return checked((report) => {
    const filters = {
      studentNumber: text(report, 'student_number', request.studentNumber, { max: STUDENT_NUMBER.max }) || undefined,
      gradeLevel: gradeLevel(report, 'grade_level', request.gradeLevel) ?? undefined,
      disability: enumName(report, 'disability', Disability, request.disability),
      familyNamePrefix: text(report, 'family_name_prefix', request.familyNamePrefix, { max: NAME.max }) || undefined,
    };
    const after = decodePageToken(report, request.pageToken, 'ListStudents', filters);
    return { query: { ...filters, after }, pageSize: pageSize(report, request.pageSize), filters };
  });
}

/** Reads of a student's fields by their names in the contract. */
const STUDENT_READERS = {
  student_number: (report, path, student) => ({
    studentNumber: text(report, `${path}.student_number`, student.studentNumber, STUDENT_NUMBER),
  }),
  given_name: (report, path, student) => ({ givenName: text(report, `${path}.given_name`, student.givenName, NAME) }),
  family_name: (report, path, student) => ({
    familyName: text(report, `${path}.family_name`, student.familyName, NAME),
  }),
  birth_date: (report, path, student) => ({ birthDate: birthDate(report, `${path}.birth_date`, student.birthDate) }),
  grade_level: (report, path, student) => ({
    gradeLevel: gradeLevel(report, `${path}.grade_level`, student.gradeLevel),
  }),
  disabilities: (report, path, student) => ({
    disabilities: disabilities(report, `${path}.disabilities`, student.disabilities),
  }),
} satisfies Record<string, (report: Report, path: string, student: Student) => Partial<StudentFields>>;

type StudentPath = keyof typeof STUDENT_READERS;
const STUDENT_PATHS = Object.keys(STUDENT_READERS) as StudentPath[];

export function toUpdateStudent({ student, updateMask, requestId }: UpdateStudentRequest): UpdateStudentCommand {
  return checked((report) => {
    if (student === undefined) {
      missing(report, 'student');
      return { studentId: '', etag: '', fields: {}, changedPaths: [], requestId: undefined };
    }
    if (student.etag === '') {
      report('student.etag', 'is required: that of the student as it was read, or "*" for any');
    }
    const filled = StudentSchema.fields.filter((field) => isFieldSet(student, field)).map(({ name }) => name);
    const paths = updatePaths(report, 'student', updateMask, STUDENT_PATHS, filled);
    return {
      studentId: uuid(report, 'student.id', student.id),
      etag: student.etag,
      fields: Object.assign({}, ...paths.map((path) => STUDENT_READERS[path](report, 'student', student))),
      changedPaths: [...paths],
      requestId: optionalUuid(report, 'request_id', requestId),
    };
  });
}

function missing(report: Report, field: string): [] {
  report(field, 'is required');
  return [];
}

function studentFields(report: Report, path: string, student: Student): StudentFields {
  return {
    ...STUDENT_READERS.student_number(report, path, student),
    ...STUDENT_READERS.given_name(report, path, student),
    ...STUDENT_READERS.family_name(report, path, student),
    ...STUDENT_READERS.birth_date(report, path, student),
    ...STUDENT_READERS.grade_level(report, path, student),
    ...STUDENT_READERS.disabilities(report, path, student),
  };
}

function birthDate(report: Report, field: string, value: string): string | null {
  const day = date(report, field, value);
  if (day !== null) {
    const today = new Date().toISOString().slice(0, 10);
    const lastBirthday = `${Number(day.slice(0, 4)) + MAX_AGE + 1}${day.slice(4)}`;
    if (day > today) {
      report(field, 'must not lie in the future');
    } else if (lastBirthday <= today) {
      report(field, `must not make the student older than ${MAX_AGE}`);
    }
  }
  return day;
}

function gradeLevel(report: Report, field: string, value: string): string | null {
  if (value === '') {
    return null;
  }
  if (!GRADE_LEVELS.includes(value)) {
    report(field, `must be one of ${GRADE_LEVELS.join(', ')}`);
  }
  return value;
}

function disabilities(report: Report, field: string, values: readonly Disability[]): string[] {
  if (values.length > MAX_DISABILITIES) {
    report(field, `must hold at most ${MAX_DISABILITIES}, not ${values.length}`);
    return [];
  }
  return values.map((value, index) => {
    const path = `${field}[${index}]`;
    const name = enumName(report, path, Disability, value);
    if (value === 0) {
      report(path, 'must not be UNSPECIFIED');
    } else if (values.indexOf(value) < index) {
      report(path, `must not repeat ${field.split('.').at(-1)}[${values.indexOf(value)}]`);
    }
    return name ?? '';
  });
}
