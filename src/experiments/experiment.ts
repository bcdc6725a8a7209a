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
import { type Progress, runInChild } from "../train/index.ts";
import { assemble } from "./assemble.ts";
import { checkCells } from "./cell-options.ts";
import {
  type CellResult,
  type GridHooks,
  type Group,
  type GroupResult,
  groupsOf,
  runGroup,
  type StageEvent,
  stagesOfGroups,
} from "./grid.ts";
import { passesOf } from "./method-cost.ts";
import { ExperimentOptions, type MethodEntry } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";
import { WallTime } from "./wall-time.ts";

/** Where an experiment is. */
export interface ExperimentProgress {
  /** Alignments, attacks and evaluations. */
  readonly stagesDone: number;
  readonly stages: number;
  /** What was begun or finished just now. */
  readonly label: string;
  readonly state: StageEvent["state"];
  readonly secondsLeft: number | undefined;
}

export interface ExperimentHooks extends Omit<GridHooks, "onStage"> {
  readonly onStage?: (progress: ExperimentProgress) => void;
  /** Module whose processes do the work (see `worker.ts`); absent: everything in this process, one after the other. */
  readonly worker?: URL | string;
}

/** What a worker process is given and tells. */
export interface GridTask {
  readonly options: ExperimentOptions;
  readonly groups: readonly Group[];
}
export type GridMessage =
  | { readonly stage: StageEvent }
  | { readonly step: { readonly label: string; readonly progress: Progress | string } }
  | { readonly notice: string };

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
  hooks: ExperimentHooks = {},
): Promise<ExperimentResult> {
  const chosen = parseOptions(ExperimentOptions, options, "experiment");
  checkCells(chosen);
  makeFolder(chosen.out);
  const groups = groupsOf(chosen);
  const time = new WallTime(chosen.out);
  const count = countStages(stagesOfGroups(chosen, groups), hooks);
  const onStage = (event: StageEvent): void => {
    if (event.state === "done") time.record();
    count(event);
  };
  const { cells, notes } =
    hooks.worker === undefined
      ? await runGroups({ options: chosen, groups }, { ...hooks, onStage })
      : await runInWorkers(chosen, groups, hooks.worker, { ...hooks, onStage });
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
export async function runGroups({ options, groups }: GridTask, hooks: GridHooks): Promise<GroupResult> {
  const bench = new Workbench(options);
  const results: GroupResult[] = [];
  for (const group of groups) results.push(await runGroup(options, group, bench, hooks));
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
  hooks: GridHooks,
): Promise<GroupResult> {
  // One that fails stops the others, and all are waited for before the failure is told.
  const failed = new AbortController();
  const signal = hooks.signal === undefined ? failed.signal : AbortSignal.any([hooks.signal, failed.signal]);
  const onMessage = (message: GridMessage) => {
    if ("stage" in message) hooks.onStage?.(message.stage);
    else if ("step" in message) hooks.onStep?.(message.step.label, message.step.progress);
    else hooks.onNotice?.(message.notice);
  };
  const results = await Promise.allSettled(
    share(options, groups).map(async (part) => {
      try {
        const payload = { task: "groups", options: { options, groups: part } };
        return await runInChild<GridMessage, GroupResult>(worker, payload, { onMessage, signal });
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

function countStages(stages: number, { onStage }: ExperimentHooks) {
  const start = performance.now();
  let stagesDone = 0;
  let computed = 0;
  return ({ label, state }: StageEvent): void => {
    if (state !== "started") stagesDone++;
    if (state === "done") computed++;
    const seconds = (performance.now() - start) / 1000;
    const secondsLeft = computed === 0 ? undefined : (seconds / computed) * (stages - stagesDone);
    onStage?.({ stagesDone, stages, label, state, secondsLeft });
  };
}
