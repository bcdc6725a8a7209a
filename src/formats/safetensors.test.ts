import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedPath } from "../../test/shared.ts";
import { RandomStream } from "../tensor/random.ts";
import { type DType, type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import {
  encodeSafetensors,
  openSafetensors,
  parseSafetensors,
  readSafetensors,
  writeSafetensors,
} from "./safetensors.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-safetensors-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const every = new Map<string, HostTensor>([
  ["z.f64", tensor("float64", [2], [Math.PI, -0])],
  ["b.f32", tensor("float32", [2, 2], [1, 2, 3, 4])],
  ["a.f32", tensor("float32", [], [7])],
  ["i64", tensor("int64", [1], [9007199254740993n as unknown as number])],
  ["i32", tensor("int32", [0, 3], [])],
  ["flags", tensor("bool", [3], [1, 0, 1])],
  ["__proto__", tensor("float32", [1], [1])],
  ["0", tensor("float32", [1], [2])],
  ['ключ "quoted"', tensor("float32", [1], [3])],
]);

/** A file from a literal header, to reach types that the writer does not write. */
function rawFile(header: unknown, data: Uint8Array): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

describe("round trip", () => {
  test("every element type, odd names, scalars and empty tensors", () => {
    const read = parseSafetensors(encodeSafetensors(every), "memory");
    expect(new Set(read.keys())).toEqual(new Set(every.keys()));
    for (const [name, value] of every) expect(read.get(name), name).toEqual(value);
  });

  test("the same bytes whatever the order of insertion, data aligned to 8 bytes", () => {
    const bytes = encodeSafetensors(every, { b: "2", a: "1" });
    expect(encodeSafetensors(new Map([...every].reverse()), { a: "1", b: "2" })).toEqual(bytes);
    expect(Buffer.from(bytes).readUInt32LE(0) % 8).toBe(0);
  });

  test("through a file, with metadata and nothing left over", () => {
    const path = join(folder, "w.safetensors");
    writeSafetensors(path, every, { format: "pt" });
    expect(readSafetensors(path)).toEqual(parseSafetensors(readFileSync(path), "memory"));
    expect(openSafetensors(path).metadata).toEqual(new Map([["format", "pt"]]));
    expect(readdirSync(folder)).toEqual(["w.safetensors"]);
  });

  test("10 000 random sets of tensors", () => {
    const random = new RandomStream(1, "safetensors");
    const dtypes: DType[] = ["float32", "float64", "int32", "int64", "bool"];
    let draw = 0;
    for (let round = 0; round < 10_000; round++) {
      const tensors = new Map<string, HostTensor>();
      for (let i = random.integer(draw++, 6); i > 0; i--) {
        const dtype = dtypes[random.integer(draw++, dtypes.length)]!;
        const shape = Array.from({ length: random.integer(draw++, 4) }, () => random.integer(draw++, 4));
        const values = Array.from({ length: sizeOf(shape) }, () => random.integer(draw++, 2));
        tensors.set(`t${random.integer(draw++, 1000)}`, tensor(dtype, shape, values));
      }
      const bytes = encodeSafetensors(tensors);
      const read = parseSafetensors(bytes, "memory");
      expect(Buffer.compare(encodeSafetensors(read), bytes)).toBe(0);
      expect(read.size).toBe(tensors.size);
      for (const [name, { dtype, shape, data }] of tensors) {
        const found = read.get(name)!;
        expect([found.dtype, String(found.shape), String(found.data)]).toEqual([dtype, String(shape), String(data)]);
      }
    }
  });
});

test("F16, BF16 are widened to float32, U8 to int32", () => {
  const header = {
    h: { dtype: "F16", shape: [1], data_offsets: [0, 2] },
    b: { dtype: "BF16", shape: [1], data_offsets: [2, 4] },
    u: { dtype: "U8", shape: [2], data_offsets: [4, 6] },
  };
  const read = parseSafetensors(rawFile(header, Uint8Array.of(0, 0xc0, 0x80, 0x3f, 255, 3)), "memory");
  expect(read.get("h")).toEqual(tensor("float32", [1], [-2]));
  expect(read.get("b")).toEqual(tensor("float32", [1], [1]));
  expect(read.get("u")).toEqual(tensor("int32", [2], [255, 3]));
});

test("a file that changes after it was opened is refused", () => {
  const path = join(folder, "changing.safetensors");
  writeSafetensors(path, new Map([["w", tensor("float32", [2], [1, 2])]]));
  const file = openSafetensors(path);
  writeFileSync(path, "short");
  expect(() => file.load("w")).toThrow(expect.objectContaining({ code: "FILE_CHANGED" }));
});

test("missing files, folders and tensors are named", () => {
  expect(() => openSafetensors(join(folder, "absent"))).toThrow(expect.objectContaining({ code: "FILE_NOT_FOUND" }));
  expect(() => openSafetensors(folder)).toThrow(expect.objectContaining({ code: "FILE_UNREADABLE" }));
  const path = join(folder, "one.safetensors");
  writeSafetensors(path, new Map());
  expect(() => openSafetensors(path).load("x")).toThrow(expect.objectContaining({ code: "TENSOR_NOT_FOUND" }));
});

test("an unwritable place is reported and leaves nothing behind", () => {
  const path = join(folder, "no-such-folder", "w.safetensors");
  expect(() => writeSafetensors(path, new Map())).toThrow(expect.objectContaining({ code: "FILE_WRITE_FAILED" }));
});

const fixture = sharedPath("fixtures", "llama", "model", "model.safetensors");
test.skipIf(fixture === undefined)("reads a file of the original library", () => {
  const read = readSafetensors(fixture!);
  expect(read.get("lm_head.weight")?.shape).toEqual([97, 48]);
  expect(parseSafetensors(encodeSafetensors(read, { format: "pt" }), "memory")).toEqual(read);
});
