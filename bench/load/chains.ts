/** What is there before the first call, and how a request template gets at it. */
import { randomUUID } from 'node:crypto';
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { CreateIepRequestSchema } from '../../src/gen/iep/v1/iep_service_pb.ts';
import type { IepClient } from '../../test/support/service.ts';
import { readScenario, type Scenario } from './scenario.ts';

export const CREATE_IEP = 'iep.v1.IEPService/CreateIep';
const STUDENT_ID = '$STUDENT_ID';
export const IEP_ID = '$IEP_ID';

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
  for (let version = 1; version <= versionsPerChain; version++) {
    await createVersions(client, studentIds);
  }
  return studentIds;
}

/** Not the one who ghz is, so that ghz may approve. */
const AUTHOR = { headers: { 'x-user-id': 'author' } };

/** Creates the next version of each student's chain, and answers their ids. */
async function createVersions(client: IepClient, studentIds: readonly string[]): Promise<string[]> {
  const template = await creationTemplate();
  const requests = studentIds.map((id) =>
    fromJson(CreateIepRequestSchema, { ...template, student_id: id, request_id: randomUUID() }),
  );
  const responses = await Promise.all(requests.map((request) => client.createIep(request, AUTHOR)));
  return responses.map(({ iep }) => iep!.id);
}

/** Creates drafts on the students' chains in turn, so that neighbours are on different ones, and answers their ids. */
export async function createDrafts(client: IepClient, studentIds: readonly string[], count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    ids.push(...(await createVersions(client, studentIds.slice(0, count - ids.length))));
  }
  return ids;
}

/** A creation as create-iep-cold sends it, without its student. */
export async function creationTemplate(): Promise<JsonObject> {
  const { data } = await readScenario('create-iep-cold');
  return data[CREATE_IEP] as JsonObject;
}

/** The template once for every id, if it names one: ghz takes them in turn. */
export function fillTemplate(template: object, ids: readonly string[], placeholder = STUDENT_ID): object {
  const text = JSON.stringify(template);
  return text.includes(placeholder)
    ? ids.map((id) => JSON.parse(text.replaceAll(placeholder, id)) as object)
    : template;
}
