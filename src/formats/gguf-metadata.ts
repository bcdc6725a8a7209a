import { BoosterError } from "../errors.ts";
import type { GgufCursor } from "./gguf-cursor.ts";

/** Elements of all arrays together: three lists (tokens, types, merges) of the largest vocabularies, four times over. */
const MAX_ARRAY_ELEMENTS = 4_000_000;
/** The format's own limit. */
const MAX_KEY_BYTES = 65_535;
/** Chat templates and licences are the longest values; whole licences appear. */
const MAX_STRING_BYTES = 4 * 2 ** 20;
/** No known key nests arrays at all. */
const MAX_ARRAY_DEPTH = 4;

/** A metadata value; 64-bit integers are numbers where a number holds them exactly. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** All keys with their values. */
interface Metadata {
  readonly metadata: Record<string, GgufValue>;
  /** Where each key begins in the file, and where its value ends. */
  readonly places: ReadonlyMap<string, readonly [begin: number, end: number]>;
}

/** Reads all keys with their values. @throws {BoosterError} what `openGguf` tells of them */
export function readMetadata(cursor: GgufCursor, count: number, where: string): Metadata {
  const metadata: Record<string, GgufValue> = Object.create(null);
  const places = new Map<string, readonly [number, number]>();
  const budget = { elements: MAX_ARRAY_ELEMENTS };
  for (let i = 0; i < count; i++) {
    const begin = cursor.position;
    const key = cursor.text(MAX_KEY_BYTES, "key");
    if (key in metadata) throw duplicate(key, where);
    metadata[key] = readValue(cursor, cursor.u32(), 0, budget, `${where}: key ${key.slice(0, 80)}`);
    places.set(key, [begin, cursor.position]);
  }
  return { metadata, places };
}

const exact = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value);

const STRING = 8;
const ARRAY = 9;

/** Bytes of a scalar, and how they are read: by the format's type number; 8 is a string and 9 an array. */
const SCALARS: readonly (
  | readonly [bytes: number, read: (view: Buffer, at: number, where: string) => GgufValue]
  | undefined
)[] = [
  [1, (view, at) => view.readUInt8(at)],
  [1, (view, at) => view.readInt8(at)],
  [2, (view, at) => view.readUInt16LE(at)],
  [2, (view, at) => view.readInt16LE(at)],
  [4, (view, at) => view.readUInt32LE(at)],
  [4, (view, at) => view.readInt32LE(at)],
  [4, (view, at) => view.readFloatLE(at)],
  [1, (view, at, where) => asBoolean(view.readUInt8(at), where)],
  undefined,
  undefined,
  [8, (view, at) => exact(view.readBigUInt64LE(at))],
  [8, (view, at) => exact(view.readBigInt64LE(at))],
  [8, (view, at) => view.readDoubleLE(at)],
];

/** Bytes of the smallest value of a type, so that a count can be checked before its array is built. */
const leastBytes = (type: number): number => (type === STRING ? 8 : type === ARRAY ? 12 : (SCALARS[type]?.[0] ?? 1));

function asBoolean(value: number, where: string): boolean {
  if (value > 1) throw invalidValue("a boolean is neither 0 nor 1", `${value}`, where);
  return value === 1;
}

function readValue(
  cursor: GgufCursor,
  type: number,
  depth: number,
  budget: { elements: number },
  where: string,
): GgufValue {
  if (type === STRING) return cursor.text(MAX_STRING_BYTES, "string");
  if (type !== ARRAY) {
    const scalar = SCALARS[type];
    if (scalar === undefined) throw invalidValue("there is no such value type", `${type}`, where);
    return cursor.read(scalar[0], (view, at) => scalar[1](view, at, where));
  }
  if (depth === MAX_ARRAY_DEPTH) throw invalidValue("arrays are nested too deeply", `${depth + 1} levels`, where);
  const itemType = cursor.u32();
  const length = cursor.size();
  budget.elements -= length;
  if (budget.elements < 0 || length * leastBytes(itemType) > cursor.remaining) {
    throw new BoosterError("GGUF_ARRAY_TOO_LONG", "an array is longer than the file or than allowed", {
      expected: `at most ${MAX_ARRAY_ELEMENTS} elements in all arrays, ${cursor.remaining} bytes`,
      found: `${length} elements`,
      where,
    });
  }
  const items: GgufValue[] = [];
  for (let i = 0; i < length; i++) items.push(readValue(cursor, itemType, depth + 1, budget, where));
  return items;
}

const invalidValue = (problem: string, found: string, where: string): BoosterError =>
  new BoosterError("GGUF_VALUE_INVALID", problem, { found, where });

export const duplicate = (name: string, where: string): BoosterError =>
  new BoosterError("GGUF_DUPLICATE_NAME", "a key or tensor is given twice", { found: name.slice(0, 80), where });
