import { createHash } from 'node:crypto';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import canonicalize from 'canonicalize';
import { encodeBinary } from './encode.ts';
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

/** A page ends early here, so that clients' usual limit of 4 MiB is never met. */
export const PAGE_BYTES = 3 * 1024 * 1024;

/** What a list is made of. */
export interface Listed<Row, Desc extends DescMessage> {
  readonly schema: Desc;
  readonly toMessage: (row: Row) => MessageShape<Desc>;
  /** No message of the row is larger, and it need not be encoded to know that. */
  readonly bytesAtMost: (row: Row) => number;
}

/**
 * The messages of a page, from rows that are fetched as they are asked for. `last` is where the next page goes on, if the
 * list does: the last message, or where the rows stopped.
 */
export async function fillPage<Row, Desc extends DescMessage, End>(
  rows: AsyncGenerator<Row, End>,
  { schema, toMessage, bytesAtMost }: Listed<Row, Desc>,
  size: number,
): Promise<{ page: MessageShape<Desc>[]; last: MessageShape<Desc> | End | undefined }> {
  const page: MessageShape<Desc>[] = [];
  // The page has at most `bytes`. Only where that is too many are they measured, each message once.
  let bytes = 0;
  let measured = { messages: 0, bytes: 0 };
  for (;;) {
    const { done, value } = await rows.next();
    if (done) {
      return { page, last: value };
    }
    if (page.length === size) {
      return { page, last: page.at(-1) };
    }
    page.push(toMessage(value));
    bytes += bytesAtMost(value);
    if (bytes > PAGE_BYTES) {
      const sizes = page.slice(measured.messages).map((message) => encodeBinary(schema, message).byteLength);
      bytes = sizes.reduce((sum, length) => sum + length, measured.bytes);
      measured = { messages: page.length, bytes };
    }
    if (bytes > PAGE_BYTES && page.length > 1) {
      page.pop();
      return { page, last: page.at(-1) };
    }
  }
}

const ID_BYTES = 16;
const HASH_BYTES = 8;

/** What a list goes by before the id. */
type ListPlace = string | readonly string[];

/** Where a page begins: after the resource with this id. */
export interface PageStart {
  readonly id: string;
  /** Whether the resource had this place in the list when the token was made. */
  readonly isAt: (place: ListPlace) => boolean;
}

/**
 * A page token holds the id of the last resource of a page and hashes of what was listed and, where a resource may move in
 * the list, of its place; and no personal data. It is bound to the RPC and its filters, not to the page size.
 */
export function encodePageToken(lastId: string, rpc: string, filters: object, place: ListPlace = ''): string {
  const id = Buffer.from(lastId.replaceAll('-', ''), 'hex');
  return Buffer.concat([id, hash(rpc, filters), hash(lastId, place)]).toString('base64url');
}

/** Undefined for the first page. */
export function decodePageToken(report: Report, token: string, rpc: string, filters: object): PageStart | undefined {
  if (token === '') {
    return undefined;
  }
  const bytes = Buffer.from(token, 'base64url');
  const genuine = bytes.length === ID_BYTES + 2 * HASH_BYTES && bytes.toString('base64url') === token;
  if (!genuine || !bytes.subarray(ID_BYTES, ID_BYTES + HASH_BYTES).equals(hash(rpc, filters))) {
    report('page_token', 'must be the next_page_token of a call with the same filters; start again without one');
    return undefined;
  }
  const id = bytes.toString('hex', 0, ID_BYTES).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { id, isAt: (place) => bytes.subarray(ID_BYTES + HASH_BYTES).equals(hash(id, place)) };
}

function hash(...parts: readonly [string, object | string]): Buffer {
  return createHash('sha256').update(canonicalize(parts)!).digest().subarray(0, HASH_BYTES);
}
