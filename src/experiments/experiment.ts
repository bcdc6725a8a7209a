import { join } from "node:path";
import type { z } from "zod";
import { BoosterError } from "../errors.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import {
  type ExperimentResult,
  renderCsv,
  renderHtml,
  renderJson,
  renderLatex,
  renderMarkdown,
} from "../report/index.ts";
import { parseOptions } from "../stages/options.ts";
import { Workbench } from "../stages/workbench.ts";
import { type Event, type Following, runInChild } from "../train/index.ts";
import { assemble } from "./assemble.ts";
import { checkCells } from "./cell-options.ts";
import { type CellResult, type Group, type GroupResult, groupsOf, runGroup, stagesOfGroups } from "./grid.ts";
import { passesOf } from "./method-cost.ts";
import { ExperimentOptions, type MethodEntry } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";
import { WallTime } from "./wall-time.ts";

export interface ExperimentContext extends Following {
  /** Module whose processes do the work (see `worker.ts`); absent: everything in this process, one after the other. */
  readonly worker?: URL | string;
}

/** What a worker process is given and tells. */
export interface GridTask {
  readonly options: ExperimentOptions;
  readonly groups: readonly Group[];
}

/**
 * Aligns with every method and seed, attacks each with every strength, evaluates, and writes result.json and the report in
 * HTML, Markdown, CSV and LaTeX into the experiment's folder. What is there already is not computed again. A cell
 * that diverges is left out and noted.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, what `checkCells` throws, `STOPPED`, `EXPERIMENT_DIVERGED` where no cell is left, and
 * what the stages throw
 * @example
 * const result = await runExperiment({ out: "runs/sweep", model, methods: [{ method: "sft" }, { method: "booster" }], ... });
 */
export async function runExperiment(
  options: z.input<typeof ExperimentOptions>,
  { emit: tell, signal, worker }: ExperimentContext = {},
): Promise<ExperimentResult> {
  const chosen = parseOptions(ExperimentOptions, options, "experiment");
  checkCells(chosen);
  makeFolder(chosen.out);
  const groups = groupsOf(chosen);
  const time = new WallTime(chosen.out);
  const count = countPieces(stagesOfGroups(chosen, groups));
  const emit = (event: Event): void => {
    if (event.type === "piece" && event.state === "done") time.record();
    tell?.(event.type === "piece" ? count(event) : event);
  };
  const { cells, notes } =
    worker === undefined
      ? await runGroups({ options: chosen, groups }, { emit, signal })
      : await runInWorkers(chosen, groups, worker, { emit, signal });
  if (cells.length === 0) {
    throw new BoosterError("EXPERIMENT_DIVERGED", "there is nothing to report", {
      found: notes.join("; "),
      hint: "Lower the learning rates.",
    });
  }
  const result = assemble(chosen, inOrder(cells), time.seconds(), notes.toSorted());
  for (const [name, text] of Object.entries({
    "result.json": renderJson(result),
    "report.html": renderHtml(result),
    "report.md": renderMarkdown(result),
    "results.csv": renderCsv(result),
    "results.tex": renderLatex(result),
  })) {
    writeFileAtomic(join(chosen.out, name), [Buffer.from(text)]);
  }
  return result;
}

/** Runs groups one after the other; they share one device, its programs and the base model. */
export async function runGroups({ options, groups }: GridTask, following: Following): Promise<GroupResult> {
  const bench = new Workbench(options);
  const results: GroupResult[] = [];
  for (const group of groups) results.push(await runGroup(options, group, bench, following));
  return together(results);
}

const together = (results: readonly GroupResult[]): GroupResult => ({
  cells: results.flatMap(({ cells }) => cells),
  notes: results.flatMap(({ notes }) => notes),
});

async function runInWorkers(
  options: ExperimentOptions,
  groups: readonly Group[],
  worker: URL | string,
  { emit: onMessage, signal: asked }: Following,
): Promise<GroupResult> {
  // One that fails stops the others, and all are waited for before the failure is told.
  const failed = new AbortController();
  const signal = asked === undefined ? failed.signal : AbortSignal.any([asked, failed.signal]);
  const results = await Promise.allSettled(
    share(options, groups).map(async (part) => {
      try {
        return await runInChild<Event, GroupResult>(worker, { options, groups: part }, { onMessage, signal });
      } catch (error) {
        failed.abort("another process failed");
        throw error;
      }
    }),
  );
  const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  // The first to fail is the cause; the others say STOPPED.
  const cause = failures.find((error) => (error as { code?: string }).code !== "STOPPED") ?? failures[0];
  if (cause !== undefined) throw cause;
  return together(results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : [])));
}

/** Groups dealt out to the processes, the costly ones first, each to the one with the least to do. */
function share(options: ExperimentOptions, groups: readonly Group[]): Group[][] {
  const cost = ({ method }: Group) => {
    const { alignment, fineTuning = options.attack.method } = pipelineOf(
      (options.methods[method] as MethodEntry).method,
    );
    return passesOf(alignment) + options.strengths.length * passesOf(fineTuning);
  };
  const parts = Array.from({ length: Math.min(options.jobs, groups.length) }, () => ({
    load: 0,
    groups: [] as Group[],
  }));
  for (const group of groups.toSorted((a, b) => cost(b) - cost(a))) {
    const idlest = parts.reduce((best, part) => (part.load < best.load ? part : best));
    idlest.groups.push(group);
    idlest.load += cost(group);
  }
  return parts.map((part) => part.groups);
}

/** Cells in the order of methods, strengths, seeds, whoever computed them. */
const inOrder = (cells: readonly CellResult[]): CellResult[] =>
  cells.toSorted((a, b) => a.method - b.method || a.strength - b.strength || a.seed - b.seed);

type PieceEvent = Extract<Event, { type: "piece" }>;

function countPieces(pieces: number) {
  const start = performance.now();
  let done = 0;
  let computed = 0;
  return (event: PieceEvent): PieceEvent => {
    if (event.state !== "started") done++;
    if (event.state === "done") computed++;
    const seconds = (performance.now() - start) / 1000;
    const left = computed === 0 ? {} : { secondsLeft: (seconds / computed) * (pieces - done) };
    return { ...event, done, pieces, ...left };
  };
}
