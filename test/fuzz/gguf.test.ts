import { expect, test } from "vitest";
import { formatOfType, parseGguf } from "../../src/formats/gguf.ts";
import { FORMATS } from "../../src/formats/tensor-file.ts";
import { sizeOf } from "../../src/tensor/tensor.ts";
import { ggufAttacks } from "../attacks/gguf.ts";
import * as build from "../attacks/gguf-builder.ts";
import { fuzz } from "./harness.ts";
import { BORDERS, type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set(ggufAttacks.map(({ code }) => code));

const VALUES: readonly [type: number, bytes: Uint8Array][] = [
  [build.U8, Uint8Array.of(5)],
  [build.U32, build.u32(32)],
  [build.F32, build.f32(1e-5)],
  [build.BOOL, Uint8Array.of(1)],
  [build.STRING, build.text("llama")],
  [build.U64, build.u64(2n ** 60n)],
  [build.ARRAY, build.array(build.STRING, ["a", "b", ""].map(build.text))],
  [build.ARRAY, build.array(build.ARRAY, [build.array(build.U32, [build.u32(1)])])],
];
/** Every type that is read. */
const TYPES = [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39];

/** A file of a few keys and tensors; each part is now and then a lie, so that the parts after it are still read. */
function make(draws: Draws): Uint8Array {
  const lie = <T>(truth: T, lies: readonly T[]): T => (draws.below(12) === 0 ? draws.pick(lies) : truth);
  const pairs = Array.from({ length: draws.below(4) }, (_, i) => {
    const [type, value] = draws.pick(VALUES);
    return build.pair(lie(`key.${i}`, ["general.alignment", "key.0", ""]), lie(type, [...VALUES.keys(), 9, 99]), value);
  });
  const tensors = Array.from({ length: draws.below(4) }, (_, i): build.RawTensor => {
    const type = draws.pick(TYPES);
    const dims = [256, 1 + draws.below(3)].map((dim) => lie<bigint | number>(dim, BORDERS));
    const { elements, bytes } = FORMATS[formatOfType(type, "fuzz")];
    const data = new Uint8Array((256 / elements) * bytes * Math.min(3, Number(dims[1]))).fill(draws.below(256));
    const name = lie(`blk.${i}.attn_q.weight`, ["blk.0.attn_q.weight", "", "n".repeat(200)]);
    const tensor = { name, dims: lie(dims, [[], [1, 1, 1, 1, 1]]), type: lie(type, [16, 2 ** 31]), data };
    return draws.below(12) === 0 ? { ...tensor, offset: draws.pick(BORDERS) } : tensor;
  });
  const file = build.buildGguf({
    pairs,
    tensors,
    version: lie(3, [1, 2, 4]),
    pairCount: lie<bigint | number>(pairs.length, BORDERS),
    tensorCount: lie<bigint | number>(tensors.length, BORDERS),
  });
  return draws.below(2) === 0 ? file : mutateBytes(file, draws, [file]);
}

function parse(bytes: Uint8Array): void {
  const file = parseGguf(bytes, "fuzz");
  for (const name of file.entries.keys()) {
    const { shape, data } = file.load(name);
    if (data.length !== sizeOf(shape)) throw new Error("a tensor does not fill its shape");
  }
}

test("mutated GGUF files end in a known error or a valid result, quickly and in bounded memory", () => {
  const report = fuzz("gguf", make, parse, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
