import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { expandPath } from "../data/sources.ts";
import { BoosterError } from "../errors.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import { isHubReference } from "../formats/hub/reference.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { lineage } from "../models/model-file.ts";
import {
  type ExperimentResult,
  renderCsv,
  renderHtml,
  renderJson,
  renderLatex,
  renderMarkdown,
} from "../report/index.ts";
import { hashesOfFiles } from "../stages/describe-run.ts";
import { readEvaluation } from "../stages/evaluate.ts";
import { parseOptions } from "../stages/options.ts";
import { Workbench } from "../stages/workbench.ts";
import type { Event, Following } from "../train/index.ts";
import { assemble, type CellResult } from "./assemble.ts";
import { checkExperiment, idOf } from "./cell-options.ts";
import { ExperimentOptions } from "./options.ts";
import { type Cell, filesOf, type Hashes, type Key, type Plan, planOf, withNeeds } from "./plan.ts";
import { localRunner } from "./runners/local.ts";
import { type Outcome, outcomesOf } from "./runners/outcome.ts";
import { searchesOf } from "./search/found.ts";
import { strengthLabel } from "./strengths.ts";
import { withTemplates } from "./templates.ts";

export interface ExperimentContext extends Following {
  /** Module whose processes do the work (see `worker.ts`); absent: everything in this process, one after the other. */
  readonly worker?: URL | string;
  /** Called with what was found so far, whenever a cell has come to it. */
  readonly soFar?: (result: ExperimentResult) => void;
}

/**
 * Aligns with every method and seed, attacks each with every strength, evaluates, and writes result.json and the report in
 * HTML, Markdown, CSV and LaTeX into the experiment's folder. What is there already is not computed again. A cell
 * that diverges is left out and noted.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, what `planExperiment` throws, `STOPPED`, `EXPERIMENT_DIVERGED` where no cell is left, and
 * what the stages throw
 * @example
 * const result = await runExperiment({ out: "runs/sweep", model, methods: [{ method: "sft" }, { method: "booster" }], ... });
 */
export async function runExperiment(
  options: z.input<typeof ExperimentOptions>,
  { emit, signal, worker, soFar }: ExperimentContext = {},
): Promise<ExperimentResult> {
  const { chosen, plan } = await prepare(options, { emit, signal });
  makeFolder(chosen.out);
  const time = wallTime(chosen.out);
  const found = (outcomes: Map<Key, Outcome>): { readonly cells: number; result(): ExperimentResult } => {
    const cells = plan.cells.flatMap((cell) => resultOf(cell, outcomes));
    const result = () => {
      const searches = searchesOf(chosen, plan, outcomes, (cell) => resultOf(cell, outcomes));
      return assemble(chosen, cells, time.seconds(), {
        notes: notesOf(chosen, plan, outcomes),
        searches,
        base: plan.identity,
      });
    };
    return { cells: cells.length, result };
  };
  let told = 0;
  const counted = (event: Event): void => {
    if (event.type === "piece" && event.state === "done") time.record();
    emit?.(event);
    if (event.type !== "piece" || event.state === "started" || soFar === undefined) return;
    const now = found(outcomesOf(chosen.out, plan.pieces));
    if (now.cells > told) soFar(now.result());
    told = now.cells;
  };
  const outcomes = await localRunner(chosen, worker)(plan.pieces, { emit: counted, signal });
  const { cells, result: resultNow } = found(outcomes);
  if (cells === 0) {
    throw new BoosterError("EXPERIMENT_DIVERGED", "there is nothing to report", {
      found: notesOf(chosen, plan, outcomes).join("; "),
      hint: "Lower the learning rates.",
    });
  }
  const result = resultNow();
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

/**
 * Does some pieces of an experiment, and what they need where it is not there: one after the other, without a report.
 *
 * @throws {BoosterError} `PIECE_UNKNOWN`, and what `runExperiment` throws but for `EXPERIMENT_DIVERGED`
 */
export async function runPieces(
  options: z.input<typeof ExperimentOptions>,
  keys: readonly Key[],
  { emit, signal, worker }: ExperimentContext = {},
): Promise<void> {
  const { chosen, plan } = await prepare(options, { emit, signal });
  await localRunner({ ...chosen, jobs: 1 }, worker)(withNeeds(plan.pieces, keys), { emit, signal });
}

/** Checked options whose references to the hub say which commit they mean, and the plan. */
export async function prepare(
  options: z.input<typeof ExperimentOptions>,
  following: Following = {},
): Promise<{ readonly chosen: ExperimentOptions; readonly plan: Plan }> {
  const asked = parseOptions(ExperimentOptions, options, "experiment");
  const chosen = await resolveReferences(ExperimentOptions, asked, following);
  return { chosen, plan: await planExperiment(chosen) };
}

/**
 * The plan of an experiment on this host. What does not fit is told before anything is read at length.
 *
 * @throws {BoosterError} what `checkExperiment`, `withTemplates` and `planOf` throw, `DATA_NOT_FOUND`, `FILE_NOT_FOUND`
 */
export async function planExperiment(given: ExperimentOptions): Promise<Plan> {
  checkExperiment(given);
  const options = withTemplates(given);
  const { pieces } = planOf(options, { models: {}, files: {} });
  const models = [options.model, options.repair.unaligned, options.repair.safety].filter((path) => path !== undefined);
  for (const path of models) {
    if (isHubReference(path) || existsSync(path)) continue;
    throw new BoosterError("FILE_NOT_FOUND", "there is no model here", { where: path });
  }
  const paths = new Set(pieces.flatMap(filesOf));
  const missing = [...paths].flatMap(expandPath).find((path) => !isHubReference(path) && !existsSync(path));
  if (missing !== undefined) throw new BoosterError("DATA_NOT_FOUND", "there is no such data file", { where: missing });
  const hashes: Hashes = {
    models: Object.fromEntries(await Promise.all(models.map(async (path) => [path, await identityOf(path)]))),
    files: Object.fromEntries(await Promise.all([...paths].map(async (path) => [path, await hashesOfFiles([path])]))),
  };
  return planOf(options, hashes);
}

/** What tells a model from others: its base, and the adapters of a run. */
async function identityOf(model: string): Promise<string> {
  const { sha256, adapters } = await new Workbench({ provider: "cpu" }).open({ model });
  return lineage(sha256, adapters);
}

function resultOf({ align, attack, before, after, ...place }: Cell, outcomes: Map<Key, Outcome>): CellResult[] {
  const runs = [align, attack, before, after].flatMap((key) => {
    const outcome = outcomes.get(key);
    return outcome !== undefined && "run" in outcome ? [outcome.run] : [];
  });
  if (runs.length < 4) return [];
  const [alignRun = "", attackRun = "", beforeRun = "", afterRun = ""] = runs;
  const reports = { before: readEvaluation(beforeRun), after: readEvaluation(afterRun) };
  return [{ ...place, alignRun, attackRun, beforeRun, afterRun, ...reports }];
}

/** A sentence on each cell that had to be left out; one on all of a method and seed where its alignment was. */
function notesOf(options: ExperimentOptions, { cells }: Plan, outcomes: Map<Key, Outcome>): string[] {
  const reason = (key: Key): string | undefined => {
    const outcome = outcomes.get(key);
    return outcome !== undefined && "leftOut" in outcome ? outcome.leftOut : undefined;
  };
  const notes = cells.flatMap(({ method, seed, strength, before, after }) => {
    const name = `${idOf(options, method)} seed ${seed}`;
    const [all, own] = [reason(before), reason(after)];
    if (all !== undefined) return [`${name}, all attacks: left out, since ${all}`];
    return own === undefined ? [] : [`${name}: attack ${strengthLabel(options, strength)}: left out, since ${own}`];
  });
  return [...new Set(notes)].sort();
}

/**
 * How long an experiment has been at work over all its starts: kept in its folder after each piece of work, so that a kill
 * loses one piece at most, and left alone by a start that finds everything done. Undefined where jobs of a cluster did it all.
 */
function wallTime(out: string): { seconds(): number | undefined; record(): void } {
  const file = join(out, "wall-time.json");
  const seconds = (): number | undefined =>
    existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { readonly seconds: number }).seconds : undefined;
  const [earlier, start] = [seconds() ?? 0, performance.now()];
  return {
    seconds,
    record: () => {
      const now = { seconds: earlier + (performance.now() - start) / 1000 };
      writeFileAtomic(file, [Buffer.from(`${JSON.stringify(now)}\n`)]);
    },
  };
}
