import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as build from "../../test/attacks/gguf-builder.ts";
import { sharedPath } from "../../test/shared.ts";
import { floatToBfloat, floatToHalf } from "../tensor/half.ts";
import { dequantise, quantiseQ8 } from "../tensor/quantised.ts";
import { tensor } from "../tensor/tensor.ts";
import { openGguf, parseGguf } from "./gguf.ts";

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const values = Float32Array.from({ length: 64 }, (_, i) => i - 32);

const file = build.buildGguf({
  alignment: 64,
  pairs: [
    build.pair("general.alignment", build.U32, build.u32(64)),
    build.pair("text", build.STRING, build.text("зима")),
    build.pair("yes", build.BOOL, Uint8Array.of(1)),
    build.pair("float", build.F32, build.f32(0.5)),
    build.pair("large", build.U64, build.u64(2n ** 63n)),
    build.pair("small", build.U64, build.u64(7)),
    build.pair("list", build.ARRAY, build.array(build.STRING, [build.text("a"), build.text("b")])),
    build.pair("lists", build.ARRAY, build.array(build.ARRAY, [build.array(build.U8, [Uint8Array.of(1, 2)], 2)])),
    build.pair("__proto__", build.U32, build.u32(1)),
  ],
  tensors: [
    { name: "f32", dims: [2, 32], type: 0, data: bytesOf(values) },
    { name: "f16", dims: [64], type: 1, data: bytesOf(floatToHalf(values)) },
    { name: "bf16", dims: [64], type: 30, data: bytesOf(floatToBfloat(values)) },
    { name: "q8", dims: [32, 2], type: 8, data: quantiseQ8(values) },
    { name: "scalar", dims: [], type: 0, data: build.f32(3) },
  ],
});

test("values of every kind; 64-bit integers as numbers where exact", () => {
  const { metadata, version } = parseGguf(file, "memory");
  expect(version).toBe(3);
  expect({ ...metadata }).toEqual({
    "general.alignment": 64,
    text: "зима",
    yes: true,
    float: 0.5,
    large: 2n ** 63n,
    small: 7,
    list: ["a", "b"],
    lists: [[1, 2]],
    ["__proto__"]: 1,
  });
});

test("tensors of every type, shapes row-major", () => {
  const { load, entries } = parseGguf(file, "memory");
  expect(load("f32")).toEqual(tensor("float32", [32, 2], values));
  expect(load("f16")).toEqual(tensor("float32", [64], values));
  expect(load("bf16")).toEqual(tensor("float32", [64], values));
  expect(load("q8")).toEqual(tensor("float32", [2, 32], dequantise("Q8_0", quantiseQ8(values))));
  expect(load("scalar")).toEqual(tensor("float32", [], [3]));
  expect([...entries.values()].every(({ begin }) => begin % 64 === 0)).toBe(true);
  expect(() => load("absent")).toThrow(expect.objectContaining({ code: "TENSOR_NOT_FOUND" }));
});

test("a header longer than one read, from disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-gguf-"));
  try {
    const words = Array.from({ length: 200_000 }, (_, i) => `word ${i}`);
    const pairs = [build.pair("words", build.ARRAY, build.array(build.STRING, words.map(build.text)))];
    const path = join(folder, "long.gguf");
    writeFileSync(
      path,
      build.buildGguf({ pairs, tensors: [{ name: "w", dims: [64], type: 0, data: bytesOf(values) }] }),
    );
    const read = openGguf(path);
    expect(read.metadata.words).toEqual(words);
    expect(read.load("w").data).toEqual(values);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const smollm = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
test.skipIf(smollm === undefined)("reads a real model's header", () => {
  const { metadata, entries } = openGguf(smollm!);
  expect(metadata["general.architecture"]).toBe("llama");
  expect(metadata["tokenizer.ggml.tokens"]).toHaveLength(49152);
  expect(entries.get("token_embd.weight")).toMatchObject({ format: "Q8_0", shape: [49152, 576] });
  expect(entries.size).toBe(272);
});
