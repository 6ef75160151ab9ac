import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Report } from './fields.ts';

export interface Page<Query> {
  readonly query: Query;
  readonly pageSize: number;
  /** What the next page's token is bound to. */
  readonly filters: object;
}

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 1000;

export function pageSize(report: Report, value: number): number {
  if (value < 0) {
    report('page_size', `must not be negative; 0 means ${PAGE_SIZE_DEFAULT}`);
  }
  return Math.min(value || PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX);
}

const ID_BYTES = 16;
const HASH_BYTES = 8;

/**
 * A page token holds the id of the last resource of a page and a hash of what was listed, and no personal data. It is bound
 * to the RPC and its filters, not to the page size.
 */
export function encodePageToken(lastId: string, rpc: string, filters: object): string {
  return Buffer.concat([Buffer.from(lastId.replaceAll('-', ''), 'hex'), hash(rpc, filters)]).toString('base64url');
}

/** Id of the resource after which the page begins; undefined for the first page. */
export function decodePageToken(report: Report, token: string, rpc: string, filters: object): string | undefined {
  if (token === '') {
    return undefined;
  }
  const bytes = Buffer.from(token, 'base64url');
  const genuine = bytes.length === ID_BYTES + HASH_BYTES && bytes.toString('base64url') === token;
  if (!genuine || !bytes.subarray(ID_BYTES).equals(hash(rpc, filters))) {
    report('page_token', 'must be the next_page_token of a call with the same filters; start again without one');
    return undefined;
  }
  return bytes.toString('hex', 0, ID_BYTES).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function hash(rpc: string, filters: object): Buffer {
  return createHash('sha256')
    .update(canonicalize([rpc, filters])!)
    .digest()
    .subarray(0, HASH_BYTES);
}
