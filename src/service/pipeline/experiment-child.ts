/** Looks at experiments and draws their reports, in a process of its own: both keep a thread busy for long where they are large. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../../errors.ts";
import { heldIn, PLAN_FILE, readPlan } from "../../experiments/kept-plan.ts";
import { outcomesOf } from "../../experiments/runners/outcome.ts";
import { found } from "../../experiments/so-far.ts";
import { type ExperimentResult, parseResult, renderHtml } from "../../report/index.ts";
import { serveParent } from "../../train/index.ts";

/** What an experiment calls its result in its folder. */
export const RESULT_FILE = "result.json";

/** What is asked: how far the experiment in a folder is, its report, or that of its result. */
export type ExperimentTask = { readonly look: string } | { readonly draw: string } | { readonly drawResult: string };

/** How far an experiment is whose result is not there yet. */
export interface Look {
  readonly isRunning: boolean;
  readonly pieces: number;
  readonly done: number;
  readonly leftOut: number;
  /** What is being worked on. */
  readonly underWay: readonly string[];
  /** Changes with what the report is made of. */
  readonly version: string;
}

const plans = new Map<string, { readonly at: number; readonly read: ReturnType<typeof readPlan> }>();

/** The plan in a folder: read again when it has changed. */
function planIn(folder: string): typeof plans extends Map<string, infer Known> ? Known : never {
  const at = statSync(join(folder, PLAN_FILE)).mtimeMs;
  const known = plans.get(folder);
  if (known?.at === at) return known;
  const fresh = { at, read: readPlan(folder) };
  plans.set(folder, fresh);
  return fresh;
}

function look(folder: string): Look {
  const { at, read } = planIn(folder);
  const { pieces, plan } = read;
  // Who holds a lock may just have finished: those are asked first.
  const held = heldIn(folder);
  const outcomes = outcomesOf(folder, pieces);
  const isThere = (key: string): boolean => "run" in (outcomes.get(key) ?? {});
  const done = pieces.filter(({ key }) => isThere(key)).length;
  const leftOut = outcomes.size - done;
  const cells = plan.cells.filter(({ align, attack, before, after }) => [align, attack, before, after].every(isThere));
  return {
    isRunning: held.length > 0,
    pieces: pieces.length,
    done,
    leftOut,
    underWay: pieces.flatMap(({ key, label }) => (held.includes(key) && !outcomes.has(key) ? [label] : [])),
    version: `${at} ${cells.length} ${leftOut}`,
  };
}

/** The report so far; undefined before the first cell. */
function draw(folder: string): string | undefined {
  const { options, plan, pieces } = planIn(folder).read;
  const { cells, result } = found(options, plan, outcomesOf(folder, pieces));
  return cells === 0 ? undefined : renderHtml(withoutLinks(result()));
}

function drawResult(folder: string): string {
  const where = join(folder, RESULT_FILE);
  return renderHtml(withoutLinks(parseResult(read(where), where)));
}

/** Files of single runs lie beside the report, and are not served. */
function withoutLinks({ search, ...result }: ExperimentResult): ExperimentResult {
  const bare = ({ folders: _, ...run }: ExperimentResult["runs"][number]): ExperimentResult["runs"][number] => run;
  const runs = result.runs.map(bare);
  return { ...result, runs, ...(search === undefined ? {} : { search: { ...search, found: search.found.map(bare) } }) };
}

function read(where: string): unknown {
  try {
    return JSON.parse(readFileSync(where, "utf8"));
  } catch (cause) {
    throw new BoosterError("RESULT_INVALID", "the result cannot be read", { where, cause });
  }
}

serveParent<ExperimentTask>(async (task) =>
  "look" in task ? look(task.look) : "draw" in task ? draw(task.draw) : drawResult(task.drawResult),
);
