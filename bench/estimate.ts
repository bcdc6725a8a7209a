import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { packagePath } from "../src/stages/package-root.ts";
import { writeWorldData } from "../src/stages/world-files.ts";
import { measureInChild } from "./child.ts";
import { figure, gigabytes, type Section } from "./report.ts";
import type { SharedFiles } from "./rows.ts";

const Measured = z.object({ secondsPerStep: z.number(), peakRssBytes: z.number() });

/** As near as an estimate is to come. */
const WANTED = 0.15;
/** An estimate and its run can meet two speeds of a machine: pairs of them are repeated for so long, and so often at least. */
const [SECONDS, ROUNDS] = [90, 3];
const LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

type Settings = Readonly<Record<string, unknown>>;

/** Runs that differ in what decides about memory and time. */
const worldRuns = (data: string): Record<string, Settings> => {
  const common = {
    model: packagePath("assets", "world"),
    alignment: join(data, "alignment-3.jsonl"),
    harmful: join(data, "harmful-3.jsonl"),
    steps: 400,
  };
  return {
    "bundled model, SFT": common,
    "bundled model, Booster, 100 rows": { ...common, method: "booster", batchSize: 100, steps: 60 },
    "bundled model, all weights": { ...common, tune: "full", batchSize: 50, steps: 200 },
  };
};

const realRuns = ({ model, alignment }: SharedFiles): Record<string, Settings> => {
  const source = { path: alignment, task: "safe-answers" };
  const common = {
    model,
    alignment: source,
    harmful: source,
    template: "alpaca",
    maxTokens: 256,
    tooLong: "truncate",
    steps: 6,
  };
  return {
    "SmolLM2-135M, SFT": common,
    "SmolLM2-135M, Booster, low memory": { ...common, method: "booster", memory: "low" },
    "SmolLM2-135M, SFT, all linear layers, 2 micro-batches": {
      ...common,
      targetModules: LINEAR,
      batchSize: 20,
      microBatches: 2,
    },
  };
};

/** What `booster estimate` says beside what the run takes, right after it; of several such pairs, the medians. */
export async function estimates({
  scratch,
  files,
  quick,
  progress,
}: {
  readonly scratch: string;
  readonly files: SharedFiles | undefined;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}): Promise<Section> {
  const data = join(scratch, "estimate-world");
  writeWorldData(data, [3]);
  const runs = { ...worldRuns(data), ...(files === undefined ? {} : realRuns(files)) };
  const measured = (program: string, options: Settings) => {
    const path = fileURLToPath(new URL(program, import.meta.url));
    return measureInChild(Measured, process.execPath, [path, JSON.stringify(options)]);
  };
  const rows: Row[] = [];
  for (const [i, [name, settings]] of Object.entries(runs).entries()) {
    const pairs: Pair[] = [];
    const begun = performance.now();
    const enough = () => pairs.length >= ROUNDS && performance.now() - begun > 1000 * SECONDS;
    while (pairs.length === 0 || !(quick || enough())) {
      const options = { ...settings, run: join(scratch, `estimate-${i}-${pairs.length}`) };
      const pair = {
        said: await measured("ours-estimate.js", options),
        took: await measured("ours-run.js", options),
      };
      pairs.push(pair);
      progress(
        `Estimates: ${name}, pair ${pairs.length}: ${figure(pair.said.secondsPerStep / pair.took.secondsPerStep)} of the time`,
      );
    }
    rows.push({ name, pairs });
  }
  const off = (what: keyof Measured) =>
    Math.max(...rows.map(({ pairs }) => Math.abs(medianOf(ratiosOf(pairs, what)) - 1)));
  const target = (what: string, value: number) =>
    ({ what, value, sense: "at most", wanted: WANTED, unit: "" }) as const;
  return {
    title: "Estimates: what a run takes",
    tables: [
      {
        title: "`booster estimate` beside the run itself",
        header: ["run", "GB said", "GB", "ratio", "s a step said", "s a step", "ratio", "pairs", "lowest", "highest"],
        rows: rows.map(({ name, pairs }) => {
          const of = (side: keyof Pair, what: keyof Measured) => medianOf(pairs.map((pair) => pair[side][what]));
          const ratios = ratiosOf(pairs, "secondsPerStep");
          return [
            name,
            gigabytes(of("said", "peakRssBytes")),
            gigabytes(of("took", "peakRssBytes")),
            figure(medianOf(ratiosOf(pairs, "peakRssBytes"))),
            figure(of("said", "secondsPerStep")),
            figure(of("took", "secondsPerStep")),
            figure(medianOf(ratios)),
            String(pairs.length),
            figure(Math.min(...ratios)),
            figure(Math.max(...ratios)),
          ];
        }),
      },
    ],
    targets: [target("memory, furthest off", off("peakRssBytes")), target("time, furthest off", off("secondsPerStep"))],
    notes: [],
    data: rows,
  };
}

type Measured = z.output<typeof Measured>;

interface Pair {
  readonly said: Measured;
  readonly took: Measured;
}

interface Row {
  readonly name: string;
  readonly pairs: readonly Pair[];
}

const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

/** Each said beside what came right after it: what slows a machine down for a minute slows both. */
const ratiosOf = (pairs: readonly Pair[], what: keyof Measured): number[] =>
  pairs.map(({ said, took }) => said[what] / took[what]);
