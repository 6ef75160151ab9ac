/** Messages to bytes: whole, whatever their size, and without many buffers. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { IepSchema } from '../src/gen/iep/v1/iep_pb.ts';
import { encodeBinary } from '../src/rpc/encode.ts';

const aSize = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 3900, max: 4200 }), fc.nat(40_000));

it('holds all of a message', () => {
  fc.assert(
    fc.property(fc.array(aSize, { maxLength: 5 }), (sizes) => {
      const goals = sizes.map((size) => ({ goalText: 'é'.repeat(size) }));
      const iep = create(IepSchema, { id: 'x', content: { sizes }, goals });
      expect(fromBinary(IepSchema, encodeBinary(IepSchema, iep))).toEqual(iep);
    }),
  );
});

it('begins with a buffer in which most documents fit', () => {
  const writer = new BinaryWriter().bool(true);
  expect(writer).toHaveProperty('buffer.byteLength', 4096);
  expect(writer.finish()).toEqual(new Uint8Array([1]));
});
