import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { estimate } from "../src/stages/estimate.ts";
import { packagePath } from "../src/stages/package-root.ts";
import { writeWorldData } from "../src/stages/world-files.ts";
import { measureInChild } from "./child.ts";
import { figure, gigabytes, type Section } from "./report.ts";
import type { SharedFiles } from "./rows.ts";

const Result = z.object({ secondsPerStep: z.number(), peakRssBytes: z.number() });

/** As near as an estimate is to come. */
const WANTED = 0.15;
/** A machine that others use is slower for minutes: an estimate and its run can meet two speeds. */
const ROUNDS = 3;
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

/** What `booster estimate` says beside what the run takes, right after it: of some rounds the one whose ratio of times is the median. */
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
  const program = fileURLToPath(new URL("ours-run.js", import.meta.url));
  const rows: Row[] = [];
  for (const [i, [name, settings]] of Object.entries(runs).entries()) {
    const tries: Row[] = [];
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      const options = { ...settings, run: join(scratch, `estimate-${i}-${round}`) };
      const { bytes, seconds, steps } = await estimate("align", options);
      const took = await measureInChild(Result, process.execPath, [program, JSON.stringify(options)]);
      const row: Row = {
        name,
        said: { bytes, seconds: seconds / steps },
        took: { bytes: took.peakRssBytes, seconds: took.secondsPerStep },
      };
      progress(`Estimates: ${name}, round ${round + 1}: ${figure(ratioOf(row, "seconds"))} of the time`);
      tries.push(row);
    }
    const ranked = tries.toSorted((a, b) => ratioOf(a, "seconds") - ratioOf(b, "seconds"));
    rows.push(ranked[ranked.length >> 1] as Row);
  }
  const off = (what: keyof Measured) => Math.max(...rows.map((row) => Math.abs(ratioOf(row, what) - 1)));
  const target = (what: string, value: number) =>
    ({ what, value, sense: "at most", wanted: WANTED, unit: "" }) as const;
  return {
    title: "Estimates: what a run takes",
    tables: [
      {
        title: "`booster estimate` beside the run itself",
        header: ["run", "GB said", "GB", "ratio", "s a step said", "s a step", "ratio"],
        rows: rows.map((row) => [
          row.name,
          gigabytes(row.said.bytes),
          gigabytes(row.took.bytes),
          figure(ratioOf(row, "bytes")),
          figure(row.said.seconds),
          figure(row.took.seconds),
          figure(ratioOf(row, "seconds")),
        ]),
      },
    ],
    targets: [target("memory, furthest off", off("bytes")), target("time, furthest off", off("seconds"))],
    notes: [],
    data: rows,
  };
}

interface Measured {
  readonly bytes: number;
  readonly seconds: number;
}

interface Row {
  readonly name: string;
  readonly said: Measured;
  readonly took: Measured;
}

const ratioOf = ({ said, took }: Row, what: keyof Measured): number => said[what] / took[what];
