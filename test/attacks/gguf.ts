import type { Attack } from "./attack.ts";
import {
  ARRAY,
  array,
  BOOL,
  buildGguf,
  pair,
  type RawTensor,
  STRING,
  text,
  U8,
  U32,
  U64,
  u32,
  u64,
} from "./gguf-builder.ts";

const F32_TYPE = 0;
const Q8_0_TYPE = 8;
const weight = (changes: Partial<RawTensor> = {}): RawTensor => ({
  name: "w",
  dims: [2],
  type: F32_TYPE,
  data: new Uint8Array(8),
  ...changes,
});
const withTensor = (changes: Partial<RawTensor>): Uint8Array => buildGguf({ tensors: [weight(changes)] });
const withPair = (type: number, value: Uint8Array): Uint8Array => buildGguf({ pairs: [pair("k", type, value)] });
const nested = (levels: number): Buffer =>
  levels === 0 ? u32(U8) : Buffer.concat([u32(ARRAY), u64(1), nested(levels - 1)]);

/** Malformed GGUF files. */
export const ggufAttacks: readonly Attack[] = [
  { name: "empty file", bytes: new Uint8Array(0), code: "GGUF_TRUNCATED" },
  { name: "other magic", bytes: buildGguf({ magic: "GGML" }), code: "GGUF_MAGIC" },
  { name: "version 1", bytes: buildGguf({ version: 1 }), code: "GGUF_VERSION_UNSUPPORTED" },
  { name: "big endian", bytes: buildGguf({ version: 0x03000000 }), code: "GGUF_VERSION_UNSUPPORTED" },
  { name: "2^63 tensors", bytes: buildGguf({ tensorCount: 2n ** 63n }), code: "GGUF_TOO_MANY_TENSORS" },
  { name: "100 001 tensors", bytes: buildGguf({ tensorCount: 100_001 }), code: "GGUF_TOO_MANY_TENSORS" },
  { name: "2^64 - 1 keys", bytes: buildGguf({ pairCount: 2n ** 64n - 1n }), code: "GGUF_TOO_MANY_KEYS" },
  { name: "65 537 keys", bytes: buildGguf({ pairCount: 65_537 }), code: "GGUF_TOO_MANY_KEYS" },
  { name: "fewer keys than promised", bytes: buildGguf({ pairCount: 65_536 }), code: "GGUF_TRUNCATED" },
  { name: "fewer tensors than promised", bytes: buildGguf({ tensorCount: 100_000 }), code: "GGUF_TRUNCATED" },
  { name: "key of 2^63 bytes", bytes: buildGguf({ pairs: [u64(2n ** 63n)] }), code: "GGUF_STRING_TOO_LONG" },
  { name: "string of 2^64 - 1 bytes", bytes: withPair(STRING, u64(2n ** 64n - 1n)), code: "GGUF_STRING_TOO_LONG" },
  { name: "string longer than the file", bytes: withPair(STRING, u64(1000)), code: "GGUF_TRUNCATED" },
  { name: "value type 13", bytes: withPair(13, new Uint8Array(8)), code: "GGUF_VALUE_INVALID" },
  { name: "value type 2^32 - 1", bytes: withPair(0xffffffff, new Uint8Array(8)), code: "GGUF_VALUE_INVALID" },
  { name: "boolean 2", bytes: withPair(BOOL, Uint8Array.of(2)), code: "GGUF_VALUE_INVALID" },
  {
    name: "array of 2^64 - 1 numbers",
    bytes: withPair(ARRAY, array(U8, [], 2n ** 64n - 1n)),
    code: "GGUF_ARRAY_TOO_LONG",
  },
  {
    name: "array longer than the file",
    bytes: withPair(ARRAY, array(U64, [u64(1)], 100)),
    code: "GGUF_ARRAY_TOO_LONG",
  },
  { name: "array of an unknown type", bytes: withPair(ARRAY, array(99, [u64(1)])), code: "GGUF_VALUE_INVALID" },
  { name: "arrays in arrays in arrays", bytes: withPair(ARRAY, nested(1000)), code: "GGUF_VALUE_INVALID" },
  {
    name: "four million and one bytes in an array",
    bytes: withPair(ARRAY, array(U8, [new Uint8Array(4_000_001)], 4_000_001)),
    code: "GGUF_ARRAY_TOO_LONG",
  },
  {
    name: "key given twice",
    bytes: buildGguf({ pairs: [pair("k", U32, u32(1)), pair("k", U32, u32(2))] }),
    code: "GGUF_DUPLICATE_NAME",
  },
  { name: "tensor given twice", bytes: buildGguf({ tensors: [weight(), weight()] }), code: "GGUF_DUPLICATE_NAME" },
  {
    name: "alignment 0",
    bytes: buildGguf({ pairs: [pair("general.alignment", U32, u32(0))] }),
    code: "GGUF_ALIGNMENT_INVALID",
  },
  {
    name: "alignment 48",
    bytes: buildGguf({ pairs: [pair("general.alignment", U32, u32(48))] }),
    code: "GGUF_ALIGNMENT_INVALID",
  },
  {
    name: "alignment 2^31",
    bytes: buildGguf({ pairs: [pair("general.alignment", U32, u32(2 ** 31))] }),
    code: "GGUF_ALIGNMENT_INVALID",
  },
  {
    name: "alignment as text",
    bytes: buildGguf({ pairs: [pair("general.alignment", STRING, text("32"))] }),
    code: "GGUF_ALIGNMENT_INVALID",
  },
  { name: "tensor name of 129 bytes", bytes: withTensor({ name: "n".repeat(129) }), code: "GGUF_STRING_TOO_LONG" },
  { name: "five dimensions", bytes: withTensor({ dims: [1, 1, 1, 1, 2] }), code: "GGUF_SHAPE_INVALID" },
  { name: "dimension 0", bytes: withTensor({ dims: [0] }), code: "GGUF_SHAPE_INVALID" },
  { name: "dimension 2^63", bytes: withTensor({ dims: [2n ** 63n] }), code: "GGUF_SHAPE_INVALID" },
  {
    name: "size overflows 64 bits to zero",
    bytes: withTensor({ dims: [2n ** 32n, 2n ** 32n] }),
    code: "GGUF_SHAPE_INVALID",
  },
  {
    name: "row that is no whole number of blocks",
    bytes: withTensor({ dims: [33], type: Q8_0_TYPE }),
    code: "GGUF_SHAPE_INVALID",
  },
  { name: "scalar in a block format", bytes: withTensor({ dims: [], type: Q8_0_TYPE }), code: "GGUF_SHAPE_INVALID" },
  {
    name: "tensor of a type that is not read",
    bytes: withTensor({ dims: [256], type: 16 }),
    code: "GGUF_DTYPE_UNSUPPORTED",
  },
  { name: "tensor type 2^32 - 1", bytes: withTensor({ type: 0xffffffff }), code: "GGUF_DTYPE_UNSUPPORTED" },
  { name: "offset 2^64 - 1", bytes: withTensor({ offset: 2n ** 64n - 1n }), code: "GGUF_OFFSET_INVALID" },
  { name: "offset not aligned", bytes: withTensor({ offset: 4 }), code: "GGUF_OFFSET_INVALID" },
  { name: "hole before the first tensor", bytes: withTensor({ offset: 32 }), code: "GGUF_OFFSET_INVALID" },
  {
    name: "overlapping tensors",
    bytes: buildGguf({ tensors: [weight(), weight({ name: "v", offset: 0 })] }),
    code: "GGUF_OFFSET_INVALID",
  },
  { name: "data cut off", bytes: withTensor({ dims: [1000] }), code: "GGUF_TRUNCATED" },
];

const aligned = (alignment: number): Uint8Array =>
  buildGguf({ alignment, pairs: [pair("general.alignment", U32, u32(alignment))], tensors: [weight()] });

/** Files at the limits, which must be read. */
export const ggufBorderline: readonly Omit<Attack, "code">[] = [
  { name: "nothing", bytes: buildGguf({}) },
  { name: "version 2", bytes: buildGguf({ version: 2, tensors: [weight()] }) },
  { name: "four million bytes in an array", bytes: withPair(ARRAY, array(U8, [new Uint8Array(4_000_000)], 4_000_000)) },
  { name: "arrays nested four deep", bytes: withPair(ARRAY, Buffer.concat([nested(3), u64(0)])) },
  { name: "tensor name of 128 bytes", bytes: withTensor({ name: "n".repeat(128) }) },
  { name: "four dimensions", bytes: withTensor({ dims: [1, 1, 1, 2] }) },
  { name: "scalar", bytes: withTensor({ dims: [], data: new Uint8Array(4) }) },
  { name: "alignment 8", bytes: aligned(8) },
  { name: "alignment 2^21", bytes: aligned(2 ** 21) },
];
