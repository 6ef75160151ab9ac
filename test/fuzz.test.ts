/** Damaged requests: whatever bytes come, the service answers, with the same code over every protocol, and never by a fault. */
import { create, type DescMessage, toBinary } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import { expect, it } from 'vitest';
import { ErrorInfoSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import { IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';
import { binarySenders } from './support/wire.ts';

const ROUNDS = 150;
const UNKNOWN = '01980000-0000-7000-8000-000000000000';

/** Numbers from 0 to 1, the same in every run. https://en.wikipedia.org/wiki/Linear_congruential_generator */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32;
}

/** Changes, drops, doubles or adds a few bytes. */
function damaged(bytes: Uint8Array, random: () => number): Uint8Array {
  const result = [...bytes];
  const below = (limit: number) => Math.floor(random() * limit);
  for (let count = 1 + below(3); count > 0; count--) {
    const at = below(result.length + 1);
    const insert = [[], [below(256)], result.slice(at, at + below(8)), [0xff, 0xff]][below(4)]!;
    result.splice(at, below(3), ...insert);
  }
  return Uint8Array.from(result);
}

describeRefusals('damaged bytes', (fixture) => {
  const { getStudent, listStudents, getIep, getLatestIep, listIeps, compareIeps, createIep } = IEPService.method;
  const methods = [getStudent, listStudents, getIep, getLatestIep, listIeps, compareIeps, createIep];

  it.each(methods)('of $name', async (method) => {
    const { student, iep } = fixture;
    const whole: Record<string, unknown> = {
      // No student, so that no damage makes it a write.
      studentId: method === createIep ? UNKNOWN : student.id,
      iepId: iep.id,
      fromIepId: iep.id,
      toIepId: iep.id,
      academicYear: YEAR,
      pageSize: 2,
      familyNamePrefix: 'Love',
      disability: 1,
      kind: 2,
      content: { a: [1, null, { b: 'c' }] },
      goals: [{ goalText: 'reads', startDate: '2025-09-01' }],
      expectedLatestVersion: 7,
    };
    const desc: DescMessage = method.input;
    const known = desc.fields.filter(({ localName }) => localName in whole).map(({ localName }) => localName);
    const bytes = toBinary(desc, create(desc, Object.fromEntries(known.map((name) => [name, whole[name]]))));
    const random = generator(method.name.length);
    const senders = Object.values(binarySenders(fixture.service));
    for (let round = 0; round < ROUNDS; round++) {
      const request = damaged(bytes, random);
      const ends = await Promise.all(
        senders.map((send) =>
          send(method, request).then(
            () => 'Ok',
            (error: ConnectError) => `${Code[error.code]} ${error.findDetails(ErrorInfoSchema)[0]?.reason}`,
          ),
        ),
      );
      const hex = Buffer.from(request).toString('hex');
      expect({ hex, ends }).toEqual({ hex, ends: ends.map(() => ends[0]) });
      expect(`${ends[0]} for ${hex}`).toMatch(/^Ok |^InvalidArgument (INVALID_FIELD|MALFORMED_REQUEST) |^NotFound /);
    }
  });
});
