import { atMost, BoosterError } from "../errors.ts";
import type { DType, HostTensor } from "../tensor/tensor.ts";
import { writeFileAtomic } from "./atomic-file.ts";
import type { Written } from "./encode-tensor.ts";
import { MAX_HEADER_BYTES } from "./safetensors-reader.ts";
import { FORMATS, type FormatName } from "./tensor-file.ts";

const NAMES: Readonly<Record<DType, string>> = {
  float16: "F16",
  uint16: "U16",
  int8: "I8",
  uint8: "U8",
  float64: "F64",
  float32: "F32",
  int64: "I64",
  int32: "I32",
  bool: "BOOL",
};

/** Data starts at a multiple of this, so that a reader may map it. */
const ALIGNMENT = 8;

/** A tensor as it is held, to be written as it is. */
const asHeld = ({ dtype, shape, data }: HostTensor): Written => ({
  format: NAMES[dtype],
  shape,
  size: data.byteLength,
  bytes: () => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

const held = (tensors: ReadonlyMap<string, HostTensor>): Map<string, Written> =>
  new Map([...tensors].map(([name, tensor]) => [name, asHeld(tensor)]));

/**
 * Encodes tensors as a safetensors file: the same bytes for the same tensors, in whatever order they come.
 *
 * Wide elements come first, so that every tensor is aligned; among equals names are sorted.
 *
 * @throws {BoosterError} `SAFETENSORS_HEADER_TOO_LARGE`, `SAFETENSORS_NAME_INVALID`.
 * @example
 * encodeSafetensors(new Map([["w", tensor("float32", [2], [1, 2])]]), { format: "pt" });
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  return Buffer.concat([...chunks(held(tensors), metadata)]);
}

/**
 * Writes a safetensors file atomically, without a second copy of the data in memory.
 *
 * @throws {BoosterError} as `encodeSafetensors` and `writeFileAtomic`.
 */
export const writeSafetensors = (
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): void => streamSafetensors(path, held(tensors), metadata);

/** The same for tensors whose bytes are made one after the other. Throws what making them throws, and as `writeSafetensors`. */
export function streamSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Written>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeFileAtomic(path, chunks(tensors, metadata));
}

function* chunks(
  tensors: ReadonlyMap<string, Written>,
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const width = ({ format }: Written) => FORMATS[format as FormatName].bytes;
  const sorted = [...tensors].sort(([a, x], [b, y]) => width(y) - width(x) || (a < b ? -1 : 1));
  const pairs = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  // Joined by hand: an object would move names like "0" to the front and take "__proto__" for something else.
  const fields = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const entries = fields.length === 0 ? [] : [`"__metadata__":{${fields.join(",")}}`];
  let offset = 0;
  for (const [name, { format, shape, size }] of sorted) {
    if (name === "__metadata__") {
      throw new BoosterError("SAFETENSORS_NAME_INVALID", "a tensor cannot have the reserved name", { found: name });
    }
    const end = offset + size;
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${format}","shape":[${shape.join(",")}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const json = Buffer.from(`{${entries.join(",")}}`);
  const header = Buffer.alloc(Math.ceil((8 + json.length) / ALIGNMENT) * ALIGNMENT, " ");
  const problem = "names and metadata do not fit into a header";
  atMost(MAX_HEADER_BYTES, "bytes", header.length - 8, "SAFETENSORS_HEADER_TOO_LARGE", problem);
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  yield header;
  for (const [, tensor] of sorted) yield tensor.bytes();
}
