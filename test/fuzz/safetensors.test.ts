import { expect, test } from "vitest";
import { encodeSafetensors, parseSafetensors } from "../../src/formats/safetensors.ts";
import { type HostTensor, sizeOf, tensor } from "../../src/tensor/tensor.ts";
import { rawSafetensors, safetensorsAttacks } from "../attacks/safetensors.ts";
import { fuzz, WEIGHTS_TIMES } from "./harness.ts";
import { BORDERS, type Draws, mutateBytes } from "./mutate.ts";

const seeds: readonly Uint8Array[] = [
  encodeSafetensors(
    new Map<string, HostTensor>([
      ["a.weight", tensor("float32", [2, 3], [1, 2, 3, 4, 5, 6])],
      ["b", tensor("int64", [1], [7])],
      ["c", tensor("bool", [3], [1, 0, 1])],
      ["empty", tensor("float64", [0, 4], [])],
    ]),
    { format: "pt" },
  ),
  encodeSafetensors(new Map([["w", tensor("float32", [], [1])]])),
  rawSafetensors(
    '{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"u":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}',
    new Uint8Array(8),
  ),
  encodeSafetensors(new Map(), { a: "1", b: "2" }),
];

const codes = new Set(safetensorsAttacks.map(({ code }) => code));

type HeaderMutation = (header: string, draws: Draws) => string;

/** Replaces one match of a pattern, chosen at random. */
function replaceOne(header: string, pattern: RegExp, draws: Draws, replacement: string): string {
  const matches = [...header.matchAll(pattern)];
  if (matches.length === 0) return header;
  const { index, 0: found } = draws.pick(matches);
  return header.slice(0, index) + replacement + header.slice(index + found.length);
}

const HEADER_MUTATIONS: readonly HeaderMutation[] = [
  (header, draws) => replaceOne(header, /\d+/g, draws, String(draws.pick(BORDERS))),
  (header, draws) =>
    replaceOne(header, /\d+/g, draws, draws.pick(["-1", "1.5", "1e9", "null", '"4"', "[]", "{}", "true", "00"])),
  (header, draws) => replaceOne(header, /\d+/g, draws, String(draws.below(64))),
  (header, draws) =>
    replaceOne(
      header,
      /"[^"]*"/g,
      draws,
      draws.pick(['"w"', '"F32"', '"F99"', '"__metadata__"', '"__proto__"', '"\\ud800"', '"\\u0077"', '""', "7"]),
    ),
  (header, draws) =>
    replaceOne(
      header,
      /"(?:F|I|U|BOOL)\d*"/g,
      draws,
      draws.pick(['"F64"', '"F32"', '"BF16"', '"I32"', '"U8"', '"BOOL"']),
    ),
  (header, draws) => replaceOne(header, /[[\]{}:,]/g, draws, draws.pick(["[", "]", "{", "}", ":", ",", ""])),
  (header, draws) =>
    replaceOne(header, /\[[^\]]*\]/g, draws, `[${Array.from({ length: draws.below(11) }, () => draws.below(4))}]`),
  (header, draws) => {
    // Moved by a few bytes at the same size: holes and overlaps.
    const begin = draws.below(40);
    return replaceOne(header, /(?<="data_offsets":)\[(?:0,4|4,8)\]/g, draws, `[${begin},${begin + 4}]`);
  },
  (header, draws) => `${header.slice(0, -1)},${header.slice(1, 1 + draws.below(header.length))}`,
  (header, draws) => header + draws.pick([" ", "\0", "\n", "{}", "x"]),
];

/** Half of the inputs are damaged blindly; the others keep a right header length, so that they reach the later checks. */
function make(draws: Draws): Uint8Array {
  const seed = draws.pick(seeds);
  if (draws.below(2) === 0) return mutateBytes(seed, draws, seeds);
  const headerEnd = 8 + Buffer.from(seed).readUInt32LE(0);
  let header = Buffer.from(seed.subarray(8, headerEnd)).toString();
  for (let changes = 1 + draws.below(3); changes > 0; changes--) header = draws.pick(HEADER_MUTATIONS)(header, draws);
  return rawSafetensors(header, seed.subarray(headerEnd));
}

function parse(bytes: Uint8Array): void {
  for (const { shape, data } of parseSafetensors(bytes, "fuzz").values()) {
    if (data.length !== sizeOf(shape)) throw new Error("a tensor does not fill its shape");
  }
}

test("mutated safetensors files end in a known error or a valid result, quickly and in bounded memory", () => {
  const report = fuzz("safetensors", make, parse, codes, WEIGHTS_TIMES);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
