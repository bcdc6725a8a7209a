import { coverageOf, KINDS } from "./truths.ts";

const SEEDS = [3, 5, 10];
const QUESTIONS = [
  [6, 20],
  [75, 2],
] as const;
const RATES = [0.05, 0.3];

/**
 * Writes the tables of docs/statistics.md: the least coverage over rates and clusters, and the mean width.
 *
 *     node dist/scripts/coverage/main.js 200
 */
function table(experiments: number, against?: number): string {
  const rows = KINDS.map((kind) => {
    const cells = SEEDS.map((seeds) => {
      const found = QUESTIONS.flatMap(([clusters, prompts]) =>
        RATES.map((rate) =>
          coverageOf({ kind, rate, seeds, clusters, prompts, ...(against && { against }) }, experiments),
        ),
      );
      const width = found.reduce((sum, one) => sum + one.width, 0) / found.length;
      return `${(100 * Math.min(...found.map(({ covered }) => covered))).toFixed(1)} (${(100 * width).toFixed(0)})`;
    });
    return `| ${[kind.name, ...cells].join(" | ")} |`;
  });
  const head = ["World", ...SEEDS.map((seeds) => `${seeds} seeds`)];
  return [`| ${head.join(" | ")} |`, `| --- |${" ---: |".repeat(SEEDS.length)}`, ...rows].join("\n");
}

const experiments = Number(process.argv[2] ?? 200);
console.log(`${table(experiments)}\n\n${table(experiments, 0.6)}`);
