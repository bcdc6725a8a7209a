import { existsSync } from "node:fs";
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
import { parseOptions } from "../stages/options.ts";
import { Workbench } from "../stages/workbench.ts";
import type { Event, Following } from "../train/index.ts";
import { checkExperiment } from "./cell-options.ts";
import { keepPlan, sayAtWork } from "./kept-plan.ts";
import { ExperimentOptions } from "./options.ts";
import { filesOf, type Hashes, type Key, type Plan, planOf, withNeeds } from "./plan.ts";
import { localRunner } from "./runners/local.ts";
import { outcomesOf } from "./runners/outcome.ts";
import { found, type SoFar, secondsAtWork, timeFile } from "./so-far.ts";
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
  keepPlan(chosen, plan);
  const time = wallTime(chosen.out);
  let told = 0;
  const counted = (event: Event): void => {
    if (event.type === "piece" && event.state === "done") time.record();
    emit?.(event);
    if (event.type !== "piece" || event.state === "started" || soFar === undefined) return;
    const now = found(chosen, plan, outcomesOf(chosen.out, plan.pieces));
    if (now.cells > told) soFar(now.result());
    told = now.cells;
  };
  const done = sayAtWork(chosen.out);
  try {
    return report(
      chosen.out,
      found(chosen, plan, await localRunner(chosen, worker)(plan.pieces, { emit: counted, signal })),
    );
  } finally {
    done();
  }
}

/** Writes result and report. @throws {BoosterError} `EXPERIMENT_DIVERGED` */
function report(out: string, { cells, notes, result: read }: SoFar): ExperimentResult {
  if (cells === 0) {
    throw new BoosterError("EXPERIMENT_DIVERGED", "there is nothing to report", {
      found: notes.join("; "),
      hint: "Lower the learning rates.",
    });
  }
  const result = read();
  for (const [name, text] of Object.entries({
    "result.json": renderJson(result),
    "report.html": renderHtml(result),
    "report.md": renderMarkdown(result),
    "results.csv": renderCsv(result),
    "results.tex": renderLatex(result),
  })) {
    writeFileAtomic(join(out, name), [Buffer.from(text)]);
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

/**
 * How long an experiment has been at work over all its starts: kept in its folder after each piece of work, so that a kill
 * loses one piece at most, and left alone by a start that finds everything done.
 */
function wallTime(out: string): { record(): void } {
  const [earlier, start] = [secondsAtWork(out) ?? 0, performance.now()];
  return {
    record: () => {
      const now = { seconds: earlier + (performance.now() - start) / 1000 };
      writeFileAtomic(timeFile(out), [Buffer.from(`${JSON.stringify(now)}\n`)]);
    },
  };
}
