import { existsSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { configureMethod } from "../methods/registry.ts";
import type { Progress } from "../train/index.ts";
import { align } from "./align.ts";
import { determining, keyOf } from "./describe-run.ts";
import { type EvaluationReport, evaluate, readEvaluation } from "./evaluate.ts";
import { fineTune } from "./fine-tune.ts";
import type { Hooks } from "./hooks.ts";
import type { ExperimentOptions } from "./options.ts";
import { fileHashes } from "./sources.ts";
import type { Workbench } from "./workbench.ts";

/** One alignment and all attacks on it: what one process works on at a time. */
export interface Group {
  readonly method: number;
  readonly seed: number;
}

/** A cell's runs on disk and its scores. */
export interface CellResult {
  readonly method: number;
  readonly seed: number;
  readonly strength: number;
  readonly alignRun: string;
  readonly attackRun: string;
  readonly before: EvaluationReport;
  readonly after: EvaluationReport;
}

/** Told before and after each piece of work; `skipped` when it was there already. */
export interface StageEvent {
  readonly label: string;
  readonly state: "started" | "done" | "skipped";
}

/** Hooks of a grid. */
export interface GridHooks extends Omit<Hooks, "onProgress" | "bench"> {
  readonly onStage?: (event: StageEvent) => void;
  /** After each training step of the stage of that label. */
  readonly onStep?: (label: string, progress: Progress) => void;
}

export const idOf = ({ methods }: ExperimentOptions, index: number): string => {
  const entry = methods[index];
  return entry?.id ?? entry?.method.name ?? "";
};

export const strengthLabel = ({ strengths, attack }: ExperimentOptions, index: number): string => {
  const { label, learningRate = attack.learningRate } = strengths[index] ?? {};
  return label ?? `lr ${learningRate.toExponential().replace("e-0", "e-")}`;
};

/** All groups, the first seeds first, so that early results compare all methods. */
export const groupsOf = ({ methods, seeds }: ExperimentOptions): Group[] =>
  seeds.flatMap((seed) => methods.map((_, method) => ({ method, seed })));

/** Pieces of work of one group. */
export const stagesPerGroup = ({ strengths }: ExperimentOptions): number => 2 + 2 * strengths.length;

/**
 * Runs one group: align, evaluate, then for each strength attack and evaluate. A run's folder is named by a hash of all
 * that determines it, so what is there already is not done again, and what was cut short goes on.
 *
 * @throws {BoosterError} `STOPPED` when asked to stop before the end, and what the stages throw
 */
export async function runGroup(
  options: ExperimentOptions,
  { method, seed }: Group,
  bench: Workbench,
  hooks: GridHooks,
): Promise<CellResult[]> {
  const entry = options.methods[method];
  if (entry === undefined) throw new BoosterError("ARGUMENT_MISMATCH", "no such method", { found: String(method) });
  const { out, model } = options;
  const device = {
    provider: options.provider,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  };
  const name = `${idOf(options, method)} seed ${seed}`;
  const { model: identity } = await bench.hashes(model, []);
  const { onStep, onStage, ...passed } = hooks;
  const place = async (stage: string, chosen: object, upstream: readonly string[]) => {
    const determinants = { stage, identity, upstream, options: determining(chosen as Record<string, unknown>) };
    const key = keyOf({ ...determinants, files: await fileHashes(chosen) });
    return { key, run: join(out, stage, key) };
  };
  const stage = async (label: string, proof: string, work: (shared: Hooks) => Promise<unknown>): Promise<void> => {
    if (existsSync(proof)) return onStage?.({ label, state: "skipped" });
    if (hooks.signal?.aborted) throw stopped();
    onStage?.({ label, state: "started" });
    await work({ ...passed, bench, onProgress: (progress) => onStep?.(label, progress) });
    if (!existsSync(proof)) throw stopped();
    onStage?.({ label, state: "done" });
  };

  const forSeed = <T>(chosen: T): T => JSON.parse(JSON.stringify(chosen).replaceAll("{seed}", String(seed))) as T;
  const alignment = forSeed({ ...options.align, ...entry.align, method: entry.method, seed });
  const aligned = await place("align", alignment, []);
  const base = join(aligned.run, "adapter");
  await stage(`${name}: align`, join(base, "adapter_config.json"), (shared) =>
    align({ ...alignment, ...device, model, run: aligned.run, resume: true }, shared),
  );
  const questions = forSeed(options.evaluate);
  const judge = async (label: string, adapters: string[], upstream: readonly string[]) => {
    const { run } = await place("evaluate", questions, upstream);
    await stage(label, join(run, "evaluation.json"), (shared) =>
      evaluate({ ...questions, ...device, model, adapters, run, resume: true }, shared),
    );
    return readEvaluation(run);
  };
  const before = await judge(`${name}: evaluate before the attack`, [base], [aligned.key]);
  const cells: CellResult[] = [];
  for (const [strength, { label: _, ...stronger }] of options.strengths.entries()) {
    const attack = forSeed({ ...options.attack, ...stronger, seed });
    const attacked = await place("attack", attack, [aligned.key]);
    const adapter = join(attacked.run, "adapter");
    const label = `${name}: attack ${strengthLabel(options, strength)}`;
    await stage(label, join(adapter, "adapter_config.json"), (shared) =>
      fineTune({ ...attack, ...device, model, adapters: [base], run: attacked.run, resume: true }, shared),
    );
    const adapters = attack.adapterPolicy === "continue" ? [adapter] : [base, adapter];
    const after = await judge(`${label}, evaluate`, adapters, [aligned.key, attacked.key]);
    cells.push({ method, seed, strength, alignRun: aligned.run, attackRun: attacked.run, before, after });
  }
  return cells;
}

const stopped = () =>
  new BoosterError("STOPPED", "the experiment was stopped before its end", {
    hint: "Start it again with the same options: what is done is kept.",
  });

/** A method's settings, completed. */
export const settingsOf = ({ name, ...settings }: { readonly name: string }): unknown =>
  configureMethod(name, settings).options;
