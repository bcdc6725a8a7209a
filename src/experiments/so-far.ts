import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ExperimentResult } from "../report/index.ts";
import { readEvaluation } from "../stages/evaluate.ts";
import { assemble, type CellResult } from "./assemble.ts";
import { idOf } from "./cell-options.ts";
import type { ExperimentOptions } from "./options.ts";
import type { Cell, Key, Plan } from "./plan.ts";
import type { Outcome } from "./runners/outcome.ts";
import { searchesOf } from "./search/found.ts";
import { strengthLabel } from "./strengths.ts";

type Outcomes = ReadonlyMap<Key, Outcome>;

/** What of a plan a result is made by. */
export type Planned = Pick<Plan, "identity" | "cells" | "searches" | "candidates">;

/** What an experiment has found so far. */
export interface SoFar {
  /** Those whose scores are there. */
  readonly cells: number;
  /** On cells that were left out. */
  readonly notes: readonly string[];
  /** Read from the runs; there must be a cell. */
  result(): ExperimentResult;
}

/** What an experiment has found, by what came of its pieces. */
export function found(options: ExperimentOptions, plan: Planned, outcomes: Outcomes): SoFar {
  const cells = plan.cells.flatMap((cell) => resultOf(cell, outcomes));
  const notes = notesOf(options, plan, outcomes);
  const result = () => {
    const searches = searchesOf(options, plan, outcomes, (cell) => resultOf(cell, outcomes));
    return assemble(options, cells, secondsAtWork(options.out), { notes, searches, base: plan.identity });
  };
  return { cells: cells.length, notes, result };
}

/** How long an experiment has been at work over all its starts; undefined where jobs of a cluster did it all. */
export function secondsAtWork(out: string): number | undefined {
  const file = timeFile(out);
  return existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as { readonly seconds: number }).seconds
    : undefined;
}

/** Where that is kept. */
export const timeFile = (out: string): string => join(out, "wall-time.json");

function resultOf({ align, attack, before, after, ...place }: Cell, outcomes: Outcomes): CellResult[] {
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
function notesOf(options: ExperimentOptions, { cells }: Planned, outcomes: Outcomes): string[] {
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
