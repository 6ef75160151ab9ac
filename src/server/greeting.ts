import type { Service } from './service.ts';

/** What a person who starts the service wants to know: where it is, and lines to paste. */
export function greeting(host: string, { grpcPort, httpPort }: Service): string {
  const name = host.includes(':') ? `[${host}]` : host;
  const student = '{"student":{"student_number":"S-1","given_name":"Ada","family_name":"Lovelace"}}';
  return `IEPService is up:
  gRPC                     ${name}:${grpcPort}
  Connect, gRPC-Web, JSON  http://${name}:${httpPort}

Try it:
  curl -s http://${name}:${httpPort}/iep.v1.IEPService/CreateStudent -H 'content-type: application/json' -d '${student}'
  grpcurl -plaintext ${name}:${grpcPort} iep.v1.IEPService/ListStudents
`;
}
