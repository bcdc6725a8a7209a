import { expect, test } from "vitest";
import { bytesSource } from "../../src/formats/byte-source.ts";
import { readLlama2cTokenizer } from "../../src/formats/llama2c-tokenizer.ts";
import { createTokenizer } from "../../src/formats/tokenizer.ts";
import { isLlama2c, openLlama2c } from "../../src/models/llama2c.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const ints = (values: readonly number[]) => Buffer.from(Int32Array.from(values).buffer);

/** A checkpoint of tiny sizes, of either version, and now and then another length or damaged. */
function checkpoint(draws: Draws): Uint8Array {
  const sizes = [4, 1 + draws.below(3), 1 + draws.below(2), 2, 1, 3, 1 + draws.below(3)];
  const [hidden, inner, layers, , , vocabulary, context] = sizes as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const isOld = draws.below(2) === 0;
  const matrices = layers * (2 * hidden * hidden + 4 * hidden + 3 * inner * hidden + 2 * hidden);
  const count = vocabulary * hidden + matrices + hidden + (isOld ? 2 * context : 0) + draws.pick([0, 0, 0, 1]);
  const header = Buffer.alloc(isOld ? 28 : 256);
  ints(isOld ? sizes : [0x616b3432, draws.pick([1, 1, 2]), ...sizes, 1]).copy(header);
  const file = Buffer.concat([header, Buffer.alloc(4 * count, draws.below(64))]);
  return draws.below(2) === 0 ? file : mutateBytes(file, draws, [file]);
}

function readCheckpoint(bytes: Uint8Array): void {
  const source = bytesSource(bytes, "fuzz");
  if (!isLlama2c(source)) return;
  const { weights } = openLlama2c(source);
  for (const name of weights.names()) weights.load(name);
}

const VOCABULARY = 8;
function tokenizer(draws: Draws): Uint8Array {
  const token = (text: string) =>
    Buffer.concat([Buffer.alloc(4, draws.below(256)), ints([Buffer.byteLength(text)]), Buffer.from(text)]);
  const pieces = ["<unk>", "\n<s>\n", "\n</s>\n", "a", "b", "ab", " a", "\u2581"].map(token);
  const file = Buffer.concat([ints([6]), ...pieces]);
  return draws.below(4) === 0 ? file : mutateBytes(file, draws, [file]);
}

const readTokenizer = (bytes: Uint8Array): void => {
  createTokenizer(readLlama2cTokenizer(bytes, VOCABULARY, "fuzz")).encode("ab a");
};

test.each([
  ["checkpoints", checkpoint, readCheckpoint, ["LLAMA2C_INVALID", "NON_FINITE_WEIGHT"]],
  // A file may say that one of its special tokens is written "a".
  ["tokenizers", tokenizer, readTokenizer, ["TOKENIZER_MALFORMED", "SPECIAL_TOKEN_IN_TEXT"]],
] as const)("mutated llama2.c %s end in a known error or a valid result", (name, make, read, codes) => {
  const report = fuzz(`llama2c ${name}`, make, read, new Set<string>(codes));
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
