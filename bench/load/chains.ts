/** What is there before the first call, and how a request template gets at it. */
import { randomUUID } from 'node:crypto';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { CreateIepRequestSchema } from '../../src/gen/iep/v1/iep_service_pb.ts';
import type { IepClient } from '../../test/support/service.ts';
import { readScenario, type Scenario } from './scenario.ts';

export const CREATE_IEP = 'iep.v1.IEPService/CreateIep';
const STUDENT_ID = '$STUDENT_ID';

/** Creates the scenario's chains, of the documents that create-iep-cold sends, and answers the ids of their students. */
export async function createChains(
  client: IepClient,
  { chains, versionsPerChain }: Pick<Scenario, 'chains' | 'versionsPerChain'>,
): Promise<string[]> {
  if (chains === 0) {
    return [];
  }
  const { students } = await client.batchCreateStudents({
    students: Array.from({ length: chains }, () => ({
      studentNumber: `B-${randomUUID()}`,
      givenName: 'Ada',
      familyName: 'Lovelace',
    })),
  });
  const studentIds = students.map(({ id }) => id);
  const template = await creationTemplate();
  for (let version = 1; version <= versionsPerChain; version++) {
    const requests = studentIds.map((id) =>
      fromJson(CreateIepRequestSchema, { ...template, student_id: id, request_id: randomUUID() }),
    );
    await Promise.all(requests.map((request) => client.createIep(request)));
  }
  return studentIds;
}

/** A creation as create-iep-cold sends it, without its student. */
export async function creationTemplate(): Promise<JsonObject> {
  const { data } = await readScenario('create-iep-cold');
  return data[CREATE_IEP] as JsonObject;
}

/** The template once for every student, if it names one: ghz takes them in turn. */
export function fillTemplate(template: object, studentIds: readonly string[]): object {
  const text = JSON.stringify(template);
  return text.includes(STUDENT_ID)
    ? studentIds.map((id) => JSON.parse(text.replaceAll(STUDENT_ID, id)) as object)
    : template;
}
