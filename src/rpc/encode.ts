import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** What a writer begins with. Most documents fit. */
const FIRST_BYTES = 4096;

interface Growing {
  buffer: Uint8Array;
  ensureCapacity: (this: Growing, size: number) => void;
}

/**
 * The library's writer begins with 128 bytes and doubles them, which makes six buffers for a document. Each is memory outside
 * of the heap, and costs more than what is written to it: a tenth of a creation. There is no option for it, so that its
 * method is replaced by name.
 */
const writer = BinaryWriter.prototype as unknown as Growing;
const { ensureCapacity } = writer;
writer.ensureCapacity = function ensureFirst(this: Growing, size) {
  if (this.buffer.length === 0) {
    this.buffer = new Uint8Array(FIRST_BYTES);
  }
  ensureCapacity.call(this, size);
};

export function encodeBinary<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const { buffer, byteOffset, byteLength } = toBinary(schema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}
