import type { Interceptor, ServiceImpl } from '@connectrpc/connect';
import type { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import type { Deadlines } from './deadline.ts';
import type { Enter } from './entrance.ts';

/** What both listeners serve, and on which terms. */
export interface ListenerOptions {
  readonly service: ServiceImpl<typeof IEPService>;
  readonly interceptors: Interceptor[];
  readonly deadlines: Deadlines;
  readonly enter: Enter;
}
