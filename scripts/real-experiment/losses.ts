/** Losses of an experiment as Markdown tables: `node dist/scripts/real-experiment/losses.js FOLDER/result.json`. */
import { readFileSync } from "node:fs";
import { BoosterError } from "../../src/errors.ts";
import { mean } from "../../src/evaluate/index.ts";
import { parseResult } from "../../src/report/index.ts";

const [path] = process.argv.slice(2);
if (path === undefined) {
  throw new BoosterError("ARGUMENT_MISMATCH", "no result to read", { expected: "the path of a result.json" });
}
const result = parseResult(JSON.parse(readFileSync(path, "utf8")), path);
/** Steps of an alignment that one line averages. */
const BLOCK = 8;
const show = (value: number | undefined) => (value === undefined ? "" : value.toFixed(3));
const meanOf = (values: readonly (number | undefined)[]) => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : mean(known);
};

function table(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const lines = [columns, columns.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  console.log(`${lines.join("\n")}\n`);
}

table(
  ["method", "seed", "steps to", "alignment loss", "harmful loss before the simulated step", "after it"],
  result.alignments.flatMap(({ method, seed, curve }) =>
    Array.from({ length: Math.ceil(curve.length / BLOCK) }, (_, block) => {
      const points = curve.slice(block * BLOCK, (block + 1) * BLOCK);
      return [
        method,
        seed,
        points.at(-1)?.step ?? 0,
        show(meanOf(points.map(({ loss }) => loss))),
        show(meanOf(points.map(({ harmfulLossBefore }) => harmfulLossBefore))),
        show(meanOf(points.map(({ harmfulLossAfter }) => harmfulLossAfter))),
      ];
    }),
  ),
);
table(
  [
    "method",
    "attack",
    "seed",
    "step",
    "harmful testing loss",
    "harmful training loss",
    "loss on held-out safe answers",
  ],
  result.runs.flatMap(({ method, strength, seed, curve }) =>
    curve.map((point) => [
      method,
      strength,
      seed,
      point.step,
      show(point.harmfulTestingLoss),
      show(point.harmfulTrainingLoss),
      show(point.alignmentLoss),
    ]),
  ),
);
