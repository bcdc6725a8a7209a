import type { Attack } from "./attack.ts";

/** A safetensors file from a header text and data; the length before the header can be a lie. */
export function rawSafetensors(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
  claimed?: bigint,
): Uint8Array {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

const entry = (shape: string, offsets: string, dtype = "F32"): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const one = (name: string, fields: string, dataBytes = 4): Uint8Array =>
  rawSafetensors(`{${JSON.stringify(name)}:${fields}}`, new Uint8Array(dataBytes));
const w = (shape: string, offsets: string, dataBytes = 4, dtype = "F32"): Uint8Array =>
  one("w", entry(shape, offsets, dtype), dataBytes);

const many = (count: number): string =>
  `{${Array.from({ length: count }, (_, i) => `"${i}":${entry("[0]", "[0,0]")}`).join(",")}}`;

/** Malformed safetensors files; the first group are the named cases of the format's original test suite. */
export const safetensorsAttacks: readonly Attack[] = [
  { name: "empty file", bytes: new Uint8Array(0), code: "SAFETENSORS_TRUNCATED" },
  { name: "header length cut off", bytes: new Uint8Array(7), code: "SAFETENSORS_TRUNCATED" },
  {
    name: "header length 2^64 - 1",
    bytes: rawSafetensors("{}", undefined, 2n ** 64n - 1n),
    code: "SAFETENSORS_HEADER_TOO_LARGE",
  },
  {
    name: "header length just above the limit",
    bytes: rawSafetensors("{}", undefined, 100_000_001n),
    code: "SAFETENSORS_HEADER_TOO_LARGE",
  },
  {
    name: "header length at the limit",
    bytes: rawSafetensors("{}", undefined, 100_000_000n),
    code: "SAFETENSORS_TRUNCATED",
  },
  { name: "header longer than the file", bytes: rawSafetensors("{}", undefined, 100n), code: "SAFETENSORS_TRUNCATED" },
  { name: "header length zero", bytes: rawSafetensors(""), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "header starts with a space", bytes: rawSafetensors(" {}"), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "header is an array", bytes: rawSafetensors("[]"), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "zip archive (polyglot)", bytes: rawSafetensors("PK\u0003\u0004"), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "header is not UTF-8", bytes: rawSafetensors(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)), code: "JSON_INVALID" },
  { name: "header is not JSON", bytes: rawSafetensors("{not json}"), code: "JSON_INVALID" },
  { name: "header with something after it", bytes: rawSafetensors("{}<html>"), code: "JSON_INVALID" },
  { name: "string without end", bytes: rawSafetensors('{"w'), code: "JSON_INVALID" },
  { name: "deep nesting", bytes: rawSafetensors(`{"w":${"[".repeat(100_000)}`), code: "JSON_TOO_DEEP" },
  { name: "millions of values", bytes: rawSafetensors(`{"w":[${"0,".repeat(2_000_000)}0]}`), code: "JSON_TOO_LARGE" },
  { name: "too many tensors", bytes: rawSafetensors(many(100_001)), code: "SAFETENSORS_TOO_MANY_TENSORS" },
  {
    name: "tensor given twice",
    bytes: rawSafetensors(`{"w":${entry("[1]", "[0,4]")},"w":${entry("[1]", "[0,4]")}}`, new Uint8Array(4)),
    code: "JSON_DUPLICATE_KEY",
  },
  {
    name: "tensor given twice, once escaped",
    bytes: rawSafetensors(`{"w":${entry("[1]", "[0,4]")},"\\u0077":${entry("[1]", "[0,4]")}}`, new Uint8Array(4)),
    code: "JSON_DUPLICATE_KEY",
  },
  {
    name: "shape given twice",
    bytes: one("w", '{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}'),
    code: "JSON_DUPLICATE_KEY",
  },
  {
    name: "metadata given twice",
    bytes: rawSafetensors('{"__metadata__":{},"__metadata__":{}}'),
    code: "JSON_DUPLICATE_KEY",
  },
  { name: "metadata is a list", bytes: rawSafetensors('{"__metadata__":[]}'), code: "SAFETENSORS_METADATA_INVALID" },
  {
    name: "metadata value is a number",
    bytes: rawSafetensors('{"__metadata__":{"a":1}}'),
    code: "SAFETENSORS_METADATA_INVALID",
  },
  { name: "entry is null", bytes: one("w", "null"), code: "SAFETENSORS_HEADER_INVALID" },
  {
    name: "entry without dtype",
    bytes: one("w", '{"shape":[1],"data_offsets":[0,4]}'),
    code: "SAFETENSORS_HEADER_INVALID",
  },
  { name: "entry without offsets", bytes: one("w", '{"dtype":"F32","shape":[1]}'), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "three offsets", bytes: w("[1]", "[0,4,8]"), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "offsets as text", bytes: w("[1]", '["0","4"]'), code: "SAFETENSORS_HEADER_INVALID" },
  { name: "negative dimension", bytes: w("[-1]", "[0,4]"), code: "JSON_INVALID" },
  { name: "fraction as dimension", bytes: w("[1.0]", "[0,4]"), code: "JSON_INVALID" },
  { name: "exponent as dimension", bytes: w("[1e0]", "[0,4]"), code: "JSON_INVALID" },
  { name: "unknown dtype", bytes: w("[1]", "[0,4]", 4, "F32X"), code: "SAFETENSORS_DTYPE_UNSUPPORTED" },
  {
    name: "dtype named like a property of every object",
    bytes: w("[1]", "[0,4]", 4, "constructor"),
    code: "SAFETENSORS_DTYPE_UNSUPPORTED",
  },
  {
    name: "size overflows 64 bits",
    bytes: w("[4294967296,4294967296,16]", "[0,4]"),
    code: "SAFETENSORS_SHAPE_INVALID",
  },
  {
    name: "size overflows to the claimed one",
    bytes: w("[2305843009213693953,8]", "[0,32]", 32),
    code: "SAFETENSORS_SHAPE_INVALID",
  },
  { name: "dimension above 2^32", bytes: w("[4294967297]", "[0,4]"), code: "SAFETENSORS_SHAPE_INVALID" },
  { name: "nine dimensions", bytes: w("[1,1,1,1,1,1,1,1,1]", "[0,4]"), code: "SAFETENSORS_SHAPE_INVALID" },
  { name: "shape larger than its offsets", bytes: w("[2]", "[0,4]"), code: "SAFETENSORS_SIZE_MISMATCH" },
  { name: "offsets reversed", bytes: w("[1]", "[4,0]"), code: "SAFETENSORS_SIZE_MISMATCH" },
  {
    name: "offsets above 2^53",
    bytes: w("[1]", "[9007199254740993,9007199254740997]"),
    code: "SAFETENSORS_HEADER_INVALID",
  },
  {
    name: "two tensors on the same bytes",
    bytes: rawSafetensors(`{"a":${entry("[1]", "[0,4]")},"b":${entry("[1]", "[0,4]")}}`, new Uint8Array(4)),
    code: "SAFETENSORS_OVERLAP",
  },
  {
    name: "two tensors overlapping in part",
    bytes: rawSafetensors(`{"a":${entry("[2]", "[0,8]")},"b":${entry("[2]", "[4,12]")}}`, new Uint8Array(12)),
    code: "SAFETENSORS_OVERLAP",
  },
  { name: "hole before the first tensor", bytes: w("[1]", "[4,8]", 8), code: "SAFETENSORS_HOLE" },
  {
    name: "hole between tensors",
    bytes: rawSafetensors(`{"a":${entry("[1]", "[0,4]")},"b":${entry("[1]", "[8,12]")}}`, new Uint8Array(12)),
    code: "SAFETENSORS_HOLE",
  },
  { name: "data after the last tensor", bytes: w("[1]", "[0,4]", 5), code: "SAFETENSORS_TRAILING_BYTES" },
  { name: "data without tensors", bytes: rawSafetensors("{}", new Uint8Array(4)), code: "SAFETENSORS_TRAILING_BYTES" },
  { name: "data cut off", bytes: w("[2]", "[0,8]", 4), code: "SAFETENSORS_TRUNCATED" },
  { name: "name of 513 bytes", bytes: one("n".repeat(513), entry("[1]", "[0,4]")), code: "SAFETENSORS_NAME_INVALID" },
  {
    name: "name of 257 two-byte characters",
    bytes: one("é".repeat(257), entry("[1]", "[0,4]")),
    code: "SAFETENSORS_NAME_INVALID",
  },
  {
    name: "name with a lone surrogate",
    bytes: rawSafetensors(`{"\\ud800":${entry("[1]", "[0,4]")}}`, new Uint8Array(4)),
    code: "SAFETENSORS_NAME_INVALID",
  },
];

/** Files at the limits, which must be read. */
export const safetensorsBorderline: readonly Omit<Attack, "code">[] = [
  { name: "no tensors", bytes: rawSafetensors("{}") },
  { name: "padding after the header", bytes: rawSafetensors("{}      ") },
  { name: "name of 512 bytes", bytes: one("n".repeat(512), entry("[1]", "[0,4]")) },
  { name: "eight dimensions", bytes: w("[1,1,1,1,1,1,1,1]", "[0,4]") },
  { name: "dimension of 2^32, empty", bytes: w("[4294967296,0]", "[0,0]", 0) },
  { name: "scalar", bytes: w("[]", "[0,4]") },
  {
    name: "tensors not in the order of the header",
    bytes: rawSafetensors(`{"a":${entry("[1]", "[4,8]")},"b":${entry("[1]", "[0,4]")}}`, new Uint8Array(8)),
  },
  { name: "100 000 tensors", bytes: rawSafetensors(many(100_000)) },
  { name: "a tensor named __proto__", bytes: one("__proto__", entry("[1]", "[0,4]")) },
  {
    name: "a field that the format does not know",
    bytes: one("w", '{"dtype":"F32","shape":[1],"data_offsets":[0,4],"note":"x"}'),
  },
];
