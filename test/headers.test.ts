/** The headers that the service reads and answers, over every protocol. */
import { beforeAll, describe, expect, it } from 'vitest';
import { describeRefusals, invalid, refusalOf } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';
import { clientsOf, type IepClient } from './support/service.ts';

const PROTOCOLS = ['gRPC', 'Connect', 'JSON', 'gRPC-Web'];

describeRefusals('headers', (fixture) => {
  let byName: Record<string, IepClient>;
  let clients: IepClient[];
  let studentId: string;
  beforeAll(() => {
    byName = clientsOf(fixture.service);
    clients = Object.values(byName);
    studentId = fixture.student.id;
  });

  describe('x-request-id', () => {
    const answered = async (client: IepClient, given?: string) => {
      let seen: string | null = null;
      const headers = given === undefined ? {} : { 'x-request-id': given };
      await client.getStudent({ studentId }, { headers, onHeader: (header) => (seen = header.get('x-request-id')) });
      return seen;
    };

    it('comes back with an answer', async () => {
      for (const client of clients) {
        expect(await answered(client, 'trace.42_a-B')).toBe('trace.42_a-B');
      }
    });

    it.each([undefined, '', 'with space', 'x'.repeat(65), '<script>'])('is made up in place of %j', async (given) => {
      for (const client of clients) {
        expect(await answered(client, given)).toMatch(/^[0-9a-f-]{36}$/);
      }
    });
  });

  describe('x-user-id', () => {
    // What is no ASCII never leaves a gRPC client, and its service drops it unseen.
    it.each([
      ['too long', 'x'.repeat(201), PROTOCOLS],
      ['with a tab', 'a\tb', PROTOCOLS.slice(1)],
      ['with a C1 control', 'a\u0085b', PROTOCOLS.slice(1)],
    ])('is refused %s', async (_what, user, protocols) => {
      for (const protocol of protocols) {
        const call = byName[protocol]!.getStudent({ studentId }, { headers: { 'x-user-id': user } });
        expect(await refusalOf(call)).toEqual(invalid('x-user-id'));
      }
    });

    it('is anonymous by default', async () => {
      for (const client of clients) {
        const { iep } = await client.createIep({ studentId, academicYear: YEAR, validateOnly: true });
        expect(iep?.createdBy).toBe('anonymous');
      }
    });
  });
});
