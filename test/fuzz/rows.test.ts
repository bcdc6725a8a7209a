import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readExamples } from "../../src/data/formats.ts";
import { normalise } from "../../src/data/normalise.ts";
import { FaultList, type Row } from "../../src/data/rows.ts";
import { type FileKind, readRows } from "../../src/data/sources.ts";
import { ERROR_CODES } from "../../src/error-codes.ts";
import { fuzz, fuzzStream } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set(Object.entries(ERROR_CODES).flatMap(([code, { kind }]) => (kind === "data" ? [code] : [])));

const TEXTS: readonly (readonly [FileKind, string])[] = [
  ["csv", 'a,b\n"1,\n""x""",2\n24" wide,"y"\n'],
  ["csv", "a;b\r1;\u{1f600}\r"],
  ["tsv", 'a\tb\n"x"\t1\n"open\t2\n"two\nlines"\t3\n'],
  ["jsonl", '{"a": "\\ud83d\\ude00", "b": [1, {"c": null}]}\r\n{"a": "\u00e9\u{1f600}"}\n'],
  ["json", '[\n {"a": 1},\n {"a": "x\\"]"}\n]'],
  ["json", '{"n": {"m": [1]}, "data": [{"a": 1}, {"a": 2}]}'],
  ["json", '{"a": 1}\n{"a": 2}\n'],
];
const PACKED: readonly (readonly [FileKind, Buffer])[] = TEXTS.flatMap(([kind, text]) => [
  [kind, gzipSync(text)] as const,
  [kind, Buffer.from(`\ufeff${text}`, "utf16le")] as const,
  [kind, Buffer.from(text, "utf16le").swap16()] as const,
]);

/** The first byte of an input says which seed it came from, and how it is cut into pieces. */
const maker = (seeds: readonly Uint8Array[]) => (draws: Draws) => {
  const seed = draws.below(seeds.length);
  const changed = draws.below(4) === 0 ? seeds[seed] : mutateBytes(seeds[seed] as Uint8Array, draws, seeds);
  return Buffer.concat([Buffer.of(seed, draws.below(20)), changed as Uint8Array]);
};

const reader =
  (seeds: readonly (readonly [FileKind, unknown])[]) =>
  async (bytes: Uint8Array): Promise<void> => {
    const [kind] = seeds[bytes[0] as number] as (typeof seeds)[number];
    const [piece, content] = [(bytes[1] as number) + 1, bytes.subarray(2)];
    async function* pieces() {
      for (let at = 0; at < content.length; at += piece * 8) yield content.subarray(at, at + piece * 8);
    }
    let found = 0;
    await readRows(pieces(), kind, content.length, {
      row(line) {
        found = Math.max(found, line);
      },
      note: () => undefined,
      fault({ line, column }) {
        found = Math.max(found, line);
        if (line < 1 || column < 1) throw new Error("a fault is nowhere");
      },
    });
    if (found > content.length + 1) throw new Error("a line is beyond the file");
  };

test.each([
  ["text", TEXTS.map(([kind, text]) => [kind, Buffer.from(text)] as const)],
  ["packed", PACKED],
] as const)("mutated data files end in rows, faults or a known error: %s", { timeout: 0 }, async (name, seeds) => {
  const make = maker(seeds.map(([, bytes]) => bytes));
  const report = await fuzzStream(`rows-${name}`, make, reader(seeds), codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
  expect(report.millisecondsEach).toBeLessThan(20);
});

const ROWS = [
  { instruction: "q", input: "x", output: "a", system: "s", history: [["q0", "a0"]] },
  {
    conversations: [
      { from: "human", value: "q" },
      { from: "function_call", value: '{"name":"f","arguments":{}}' },
    ],
  },
  {
    messages: [
      { role: "user", content: [{ type: "text", text: "q" }] },
      { role: "assistant", content: "a", weight: 0 },
    ],
  },
  { prompt: [{ role: "user", content: "q" }], completion: [{ role: "assistant", content: "a" }], tools: "[]" },
  { prompt: "q", chosen: "a", rejected: "b" },
  { chosen: "\n\nHuman: q\n\nAssistant: a", rejected: "\n\nHuman: q\n\nAssistant: b" },
  { prompt: "q", response_0: "a", response_1: "b", is_response_0_safe: true, is_response_1_safe: false },
  { prompt: "### Instruction:\nq\n\n### Input:\nx\n\n### Response:\n", response: "a" },
  { prompt: "<|im_start|>user\nq 7-2 (3+4)*5!<|im_end|>\n<|im_start|>assistant\n", completion: "a<|im_end|>" },
  { text: "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\na<end_of_turn>" },
].map((row) => Buffer.from(JSON.stringify(row)));

function readRow(bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes);
  normalise(text);
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    return;
  }
  if (typeof values !== "object" || values === null) return;
  const row: Row = { file: "f", line: 1, values: values as Row["values"] };
  for (const harmful of [false, true]) readExamples([row], undefined, new FaultList(), harmful);
}

test("mutated rows end in examples or a known error, quickly", () => {
  const report = fuzz("forms", (draws) => mutateBytes(draws.pick(ROWS), draws, ROWS), readRow, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
