import type { Call } from '../persistence/retry.ts';

/** On whose behalf a use case runs, and for how long. */
export interface Caller extends Call {
  /** The district whose data the caller sees; from the credential, never from the request. */
  readonly districtId: string;
  /** Who is named as the author of changes. */
  readonly principal: string;
}
