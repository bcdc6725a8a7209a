/** Types of metadata values, by GGUF's number. */
export const U8 = 0;
export const U32 = 4;
export const F32 = 6;
export const BOOL = 7;
export const STRING = 8;
export const ARRAY = 9;
export const U64 = 10;

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const f32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};

export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** A metadata key with a value that is already encoded. */
export const pair = (key: string, type: number, value: Uint8Array): Buffer =>
  Buffer.concat([text(key), u32(type), value]);

export const array = (itemType: number, items: readonly Uint8Array[], length: bigint | number = items.length): Buffer =>
  Buffer.concat([u32(itemType), u64(length), ...items]);

/** A tensor as GGUF lists it: dimensions fastest first, ggml's type number, and where it claims to be. */
export interface RawTensor {
  readonly name: string;
  readonly dims: readonly (bigint | number)[];
  readonly type: number;
  readonly data: Uint8Array;
  readonly offset?: bigint | number;
}

export interface RawGguf {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: bigint | number;
  readonly pairCount?: bigint | number;
  readonly pairs?: readonly Uint8Array[];
  readonly tensors?: readonly RawTensor[];
  readonly alignment?: number;
}

/** A GGUF file from its parts; every count and offset can be set to a lie. */
export function buildGguf(parts: RawGguf): Uint8Array {
  const { magic = "GGUF", version = 3, pairs = [], tensors = [], alignment = 32 } = parts;
  const data: Buffer[] = [];
  const infos: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const dims = tensor.dims.map(u64);
    infos.push(
      Buffer.concat([text(tensor.name), u32(dims.length), ...dims, u32(tensor.type), u64(tensor.offset ?? offset)]),
    );
    const padded = Buffer.alloc(Math.ceil(tensor.data.length / alignment) * alignment);
    padded.set(tensor.data);
    data.push(padded);
    offset += padded.length;
  }
  const header = Buffer.concat([
    Buffer.from(magic, "latin1"),
    u32(version),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.pairCount ?? pairs.length),
    ...pairs,
    ...infos,
  ]);
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment);
  return Buffer.concat([header, padding, ...data]);
}
