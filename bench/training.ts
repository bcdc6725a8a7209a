import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BoosterError } from "../src/errors.ts";
import {
  type Contender,
  contenders,
  type Measurement,
  type MethodName,
  type OursResult,
  type RowsInput,
  runOurs,
} from "./contenders.ts";
import { matmulPeak } from "./peak.ts";
import { peersInstalled } from "./peers/peers.ts";
import { figure, gigabytes, mean, median, NOTHING, type Section, type Table, type Target } from "./report.ts";

/** What the measurements of one contender come to. */
interface Summary {
  readonly contender: Contender;
  /** Mean over the batches of each batch's median. */
  readonly seconds: number;
  /** Mean over the batches of each batch's fastest. */
  readonly fastest: number;
  /** Largest of all runs. */
  readonly peakRssBytes: number;
  readonly startupSeconds: number | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

interface Plan {
  readonly title: string;
  readonly input: RowsInput | "dense";
  readonly batches: number;
  /** How many times as fast as transformers + PEFT a step is to be, padded as it comes. */
  readonly lead: number;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/**
 * Measures a training workload: every contender in turn, each in a process of its own, and that several times over, so that
 * a slow minute of the machine hits all of them. Step `i` of every contender trains on batch `i mod batches`.
 */
export async function training({ title, input, batches, lead, quick, progress }: Plan): Promise<Section> {
  const rounds = quick ? 1 : 2;
  const steps = quick ? 3 : 5;
  const entries = contenders(input, quick).map((contender) => ({ contender, runs: [] as Measurement[] }));
  const failures: string[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { contender, runs } of entries) {
      progress(`${title}: round ${round} of ${rounds}, ${contender.method}, ${contender.name} ${contender.setting}`);
      try {
        runs.push(await contender.run(steps));
      } catch (error) {
        // A peer that fails costs its row, not the other measurements.
        if (!(error instanceof BoosterError) || contender.name.startsWith("ours")) throw error;
        progress(error.message);
        failures.push(`Failed in round ${round}: ${contender.method}, ${contender.name} ${contender.setting}`.trim());
      }
    }
  }
  const peak = await matmulPeak();
  const summaries = entries
    .filter(({ runs }) => runs.length > 0)
    .map(({ contender, runs }) => summarise(contender, runs, batches));
  const flops = (method: MethodName): number => {
    const own = entries.find(({ contender }) => contender.name === "ours" && contender.method === method);
    return mean((own?.runs[0]?.batchFlops ?? []).slice(0, Math.min(batches, steps)));
  };
  const versions: Record<string, string> = Object.assign({}, ...summaries.map((summary) => summary.versions));
  const profile = quick ? [] : [await profileOf(input, progress)];
  return {
    title,
    tables: [stepTable(summaries, flops, peak), ...profile],
    targets: targets({ input, lead }, summaries, flops, peak),
    notes: [
      `Rounds: ${rounds}, measured steps in each: ${steps}. Fastest matrix product of ONNX Runtime here: ${figure(peak)} GFLOP/s.`,
      peersInstalled()
        ? `Peers: ${Object.entries(versions)
            .map((entry) => entry.join(" "))
            .join(", ")}.`
        : "Ours alone: the peers need the Python packages of `bench/peers/setup.sh`.",
      ...failures,
    ],
    data: {
      peakGflops: peak,
      flops: { sft: flops("sft"), booster: flops("booster") },
      runs: entries.map(({ contender, runs }) => ({ ...contender, runs })),
    },
  };
}

function summarise(contender: Contender, runs: readonly Measurement[], batches: number): Summary {
  const perBatch = Array.from({ length: batches }, (_, batch) =>
    runs.flatMap(({ stepSeconds }) => stepSeconds.filter((_, step) => step % batches === batch)),
  ).filter((seconds) => seconds.length > 0);
  const startups = runs.flatMap(({ startupSeconds }) => startupSeconds ?? []);
  return {
    contender,
    seconds: mean(perBatch.map(median)),
    fastest: mean(perBatch.map((seconds) => Math.min(...seconds))),
    peakRssBytes: Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)),
    startupSeconds: startups.length === 0 ? undefined : median(startups),
    versions: runs[0]?.versions ?? {},
  };
}

/** The fastest setting of a contender; undefined where it did not run. */
const best = (summaries: readonly Summary[], method: MethodName, name: string): Summary | undefined =>
  summaries
    .filter(({ contender }) => contender.method === method && contender.name === name)
    .sort((a, b) => a.seconds - b.seconds)[0];

function stepTable(summaries: readonly Summary[], flops: (method: MethodName) => number, peak: number): Table {
  return {
    title: "One optimiser step",
    header: [
      "who",
      "method",
      "kernels",
      "s",
      "fastest s",
      "ours, times as fast",
      "GFLOP/s",
      "of peak",
      "peak GB",
      "start-up s",
    ],
    rows: summaries.map(({ contender, seconds, fastest, peakRssBytes, startupSeconds }) => {
      const { method, name, setting } = contender;
      const own = best(summaries, method, "ours")?.seconds ?? Number.NaN;
      const speed = flops(method) / seconds / 1e9;
      return [
        name,
        method,
        setting || NOTHING,
        figure(seconds),
        figure(fastest),
        name === "ours" ? NOTHING : figure(seconds / own),
        figure(speed),
        `${figure((100 * speed) / peak)} %`,
        gigabytes(peakRssBytes),
        startupSeconds === undefined ? NOTHING : figure(startupSeconds),
      ];
    }),
  };
}

/** Figures that the two workloads are to reach; those that lack a contender are left out. */
function targets(
  { input, lead: wantedLead }: Pick<Plan, "input" | "lead">,
  summaries: readonly Summary[],
  flops: (method: MethodName) => number,
  peak: number,
): Target[] {
  const dense = input === "dense";
  const low = best(summaries, "sft", "ours, low memory") as Summary;
  const own = best(summaries, "sft", "ours") as Summary;
  const booster = best(summaries, "booster", "ours") as Summary;
  const atMost = (what: string, value: number, wanted: number, unit: string): Target => ({
    what,
    value,
    sense: "at most",
    wanted,
    unit,
  });
  const lead = (name: string, wanted: number, method: MethodName = "sft"): Target[] => {
    const peer = best(summaries, method, name);
    const value = (peer?.seconds ?? Number.NaN) / (method === "sft" ? own : booster).seconds;
    const what = `${method} step against ${name}`;
    return peer === undefined ? [] : [{ what, value, sense: "at least", wanted, unit: "x" }];
  };
  const slower = booster.seconds / own.seconds;
  const moreOperations = flops("booster") / flops("sft");
  const ofPeak = (100 * flops("sft")) / own.seconds / 1e9 / peak;
  return [
    ...(dense ? [...lead("PyTorch eager", 1.4), ...lead("PyTorch compiled", 1.1)] : []),
    ...lead("transformers + PEFT", wantedLead),
    ...(dense ? [] : lead("transformers + PEFT", wantedLead, "booster")),
    ...(dense
      ? [{ what: "share of the matrix-product peak", value: ofPeak, sense: "at least" as const, wanted: 80, unit: "%" }]
      : []),
    atMost("peak memory of SFT", own.peakRssBytes / 1e9, dense ? 1.3 : 2.5, "GB"),
    ...(dense ? [atMost("peak memory of SFT, low memory", low.peakRssBytes / 1e9, 0.9, "GB")] : []),
    atMost("low memory's step against the default's", low.seconds / own.seconds, 1.05, "x"),
    atMost(`Booster's step against SFT's, with ${figure(moreOperations)} times the operations`, slower, 3, "x"),
    ...(dense
      ? []
      : [atMost("the same, were the second rows as long as the first", (3 * slower) / moreOperations, 3, "x")]),
    atMost("Booster's peak memory against SFT's", booster.peakRssBytes / own.peakRssBytes, 1.15, "x"),
    atMost("start-up of SFT", own.startupSeconds ?? Number.NaN, 2, "s"),
    atMost("start-up of Booster", booster.startupSeconds ?? Number.NaN, dense ? 2 : 4, "s"),
  ];
}

/** Operators that take a hundredth of the time or more. */
async function profileOf(input: RowsInput | "dense", progress: (text: string) => void): Promise<Table> {
  progress("profile of our SFT step");
  const folder = mkdtempSync(join(tmpdir(), "booster-bench-"));
  let ops: NonNullable<OursResult["profile"]>;
  try {
    ops = (await runOurs(input, "sft", 2, ["--profile", join(folder, "trace")])).profile ?? [];
  } finally {
    rmSync(folder, { recursive: true });
  }
  const total = ops.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return {
    title: "Where the time of our SFT step goes",
    header: ["operator", "share", "GFLOP/s"],
    rows: ops
      .filter(({ milliseconds }) => milliseconds >= total / 100)
      .map(({ op, milliseconds, flops }) => [
        op,
        `${((100 * milliseconds) / total).toFixed(1)} %`,
        flops === 0 ? NOTHING : figure(flops / milliseconds / 1e6),
      ]),
  };
}
