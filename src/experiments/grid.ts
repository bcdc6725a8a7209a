import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { choose, type Named } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { modelIdentity } from "../models/source.ts";
import { align } from "../stages/align.ts";
import { determining, keyOf } from "../stages/describe-run.ts";
import { type EvaluationReport, evaluate, readEvaluation } from "../stages/evaluate.ts";
import { finetune } from "../stages/finetune.ts";
import { repair } from "../stages/repair.ts";
import { fileHashes } from "../stages/sources.ts";
import type { Context, Workbench } from "../stages/workbench.ts";
import type { Event, Following } from "../train/index.ts";
import { alignOptionsOf, attackOptionsOf, forSeed, idOf, repairOptionsOf } from "./cell-options.ts";
import type { ExperimentOptions, MethodEntry } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";
import { strengthLabel } from "./strengths.ts";

/** Between two looks at a run that another process has. */
const LOCKED_MILLISECONDS = 1000;
/** A try loads data and models before it meets the lock: it rests for so many times as long, to leave the other process the machine. */
const REST = 10;

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

/** What came of groups: their cells, and a sentence on each one that had to be left out. */
export interface GroupResult {
  readonly cells: CellResult[];
  readonly notes: string[];
}

/** All groups, the first seeds first, so that early results compare all methods. */
export const groupsOf = ({ methods, seeds }: ExperimentOptions): Group[] =>
  seeds.flatMap((seed) => methods.map((_, method) => ({ method, seed })));

/** Pieces of work of all groups: for each the alignment, and what is done with it before and after each attack. */
export const stagesOfGroups = ({ methods, strengths }: ExperimentOptions, groups: readonly Group[]): number =>
  groups.reduce((sum, { method }) => {
    const { alignmentTransforms, repairs } = pipelineOf((methods[method] as MethodEntry).method);
    return sum + 2 + alignmentTransforms.length + (2 + repairs.length) * strengths.length;
  }, 0);

/** A trained or repaired adapter, and the key of all that went into it. */
interface Made {
  readonly adapter: string;
  readonly key: string;
}

/**
 * Runs one group: align, touch up, evaluate, then for each strength attack, repair and evaluate. A run's folder is named by a hash of all
 * that determines it, so what is there already is not done again, and what was cut short goes on. A cell that diverges is left
 * out; where the alignment does, all of its cells are.
 *
 * @throws {BoosterError} `STOPPED` when asked to stop before the end, and what the stages throw
 */
export async function runGroup(
  options: ExperimentOptions,
  group: Group,
  bench: Workbench,
  hooks: Following,
): Promise<GroupResult> {
  const found: GroupResult = { cells: [], notes: [] };
  const spare: Spare = async (label, work) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BoosterError && error.kind === "diverged")) throw error;
      const note = `${label}: left out, since ${error.problem}`;
      found.notes.push(note);
      hooks.emit?.({ type: "notice", text: note });
    }
  };
  const name = `${idOf(options, group.method)} seed ${group.seed}`;
  await spare(`${name}, all attacks`, () => runCells({ name, options, group, bench, hooks, spare }, found.cells));
  return found;
}

const NO_FACTORS = { loraRank: undefined, loraAlpha: undefined, targetModules: undefined };

/** Does a piece of work, and says that it is left out where it comes to numbers that are none. */
type Spare = (label: string, work: () => Promise<void>) => Promise<void>;

interface GroupRun {
  readonly name: string;
  readonly options: ExperimentOptions;
  readonly group: Group;
  readonly bench: Workbench;
  readonly hooks: Following;
  readonly spare: Spare;
}

/** @param cells takes what comes out */
async function runCells({ name, options, group, bench, hooks, spare }: GroupRun, cells: CellResult[]): Promise<void> {
  const { method: index, seed } = group;
  const entry = options.methods[index];
  if (entry === undefined) throw new BoosterError("ARGUMENT_MISMATCH", "no such method", { found: String(index) });
  const { out, model } = options;
  const device = {
    provider: options.provider,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  };
  const { sha256: identity } = await bench.open({ model });
  const place = async (stage: string, chosen: object, upstream: readonly string[]) => {
    const determinants = { stage, identity, upstream, options: determining({ ...chosen }) };
    const key = keyOf({ ...determinants, files: await fileHashes(chosen) });
    return { key, run: join(out, stage, key) };
  };
  const stage = async (label: string, proof: string, work: (shared: Context) => Promise<unknown>): Promise<void> => {
    const tell = (state: "started" | "done" | "skipped") =>
      hooks.emit?.({ type: "piece", piece: label, state, done: 0, pieces: 0 });
    if (existsSync(proof)) return tell("skipped");
    if (hooks.signal?.aborted) throw stopped();
    tell("started");
    const emit = (event: Event) => hooks.emit?.({ ...event, piece: label });
    const shared: Context = { signal: hooks.signal, bench, emit };
    // Methods may have stages in common: then one process does the work and the others wait for it.
    for (let nextTry = 0; ; ) {
      const start = performance.now();
      if (start >= nextTry) {
        if (await unlessLocked(() => work(shared))) break;
        nextTry = performance.now() + REST * (performance.now() - start);
      }
      await delay(LOCKED_MILLISECONDS);
      if (hooks.signal?.aborted) throw stopped();
      if (existsSync(proof)) return tell("skipped");
    }
    if (!existsSync(proof)) throw stopped();
    tell("done");
  };

  const pipeline = pipelineOf(entry.method);
  const alignment = alignOptionsOf(options, entry, pipeline, seed);
  const made = await place("align", alignment, []);
  const rebuilt = alignment.tune === "full";
  await stage(`${name}: align`, rebuilt ? modelProof(made.run) : adapterProof(made.run), (shared) =>
    align({ ...alignment, ...device, model, run: made.run, resume: true }, shared),
  );
  const base = rebuilt ? join(made.run, "model") : model;
  /** Changes the last adapter by one transform after the other; each result stands on the adapters below. */
  const transformed = async (
    label: string,
    transforms: readonly Named[],
    below: readonly Made[],
    last: Made,
    policy: Policy,
  ) => {
    let current = last;
    let adapterPolicy = policy;
    for (const method of transforms) {
      const chosen = repairOptionsOf(options, method, adapterPolicy, seed);
      const upstream = [...below.map((made) => made.key), current.key, ...(await identitiesOf(chosen))];
      const { key, run } = await place("repair", chosen, upstream);
      const adapters = [...below, current].map(({ adapter }) => adapter);
      await stage(`${label}: ${method.name}`, adapterProof(run), (shared) =>
        repair({ ...chosen, ...device, model: base, adapters, run, resume: true }, shared),
      );
      current = { key, adapter: join(run, "adapter") };
      adapterPolicy = "merge-and-fresh";
    }
    return current;
  };
  const trained = { key: made.key, adapter: join(made.run, "adapter") };
  const aligned = await transformed(name, pipeline.alignmentTransforms, [], trained, "merge-and-fresh");
  const judge = async (label: string, judged: Judged, upstream: readonly string[], asked: Asked = {}) => {
    const questions = forSeed({ ...options.evaluate, ...asked }, seed);
    const { run } = await place("evaluate", questions, upstream);
    await stage(label, join(run, "evaluation.json"), (shared) =>
      evaluate({ ...questions, ...device, ...judged, run, resume: true }, shared),
    );
    return readEvaluation(run);
  };
  // An alignment of all weights leaves a model of its own, without an adapter.
  const below = rebuilt ? [] : [aligned];
  const alignedModel = { model: base, adapters: below.map(({ adapter }) => adapter) };
  const before = await judge(`${name}: evaluate before the attack`, alignedModel, [aligned.key]);
  const attacked = async (label: string, strength: number) => {
    const given = attackOptionsOf(options, pipeline, strength, seed);
    // A touched-up adapter has factors of its own, whatever was asked for.
    const continued = given.adapterPolicy === "continue" && aligned !== trained;
    const attack = continued ? { ...given, ...NO_FACTORS } : given;
    const { key, run } = await place("attack", attack, [aligned.key]);
    const whole = attack.tune === "full";
    await stage(label, whole ? modelProof(run) : adapterProof(run), (shared) =>
      finetune({ ...attack, ...device, ...alignedModel, run, resume: true }, shared),
    );
    const tuned = { key, adapter: join(run, "adapter") };
    const repaired = await transformed(label, pipeline.repairs, below, tuned, attack.adapterPolicy);
    // A repaired adapter stands on top of the alignment's, whatever the fine-tuned one did.
    const alone = attack.adapterPolicy === "continue" && repaired === tuned;
    const adapters = alone ? [tuned.adapter] : [...alignedModel.adapters, repaired.adapter];
    const judged = whole ? { model: join(run, "model"), adapters: [] } : { model: base, adapters };
    const upstream = [aligned.key, repaired.key];
    const after = await judge(`${label}, evaluate`, judged, upstream, askedBy(attack.attack));
    cells.push({ method: index, seed, strength, alignRun: made.run, attackRun: run, before, after });
  };
  for (const strength of options.strengths.keys()) {
    const label = `${name}: attack ${strengthLabel(options, strength)}`;
    await spare(label, () => attacked(label, strength));
  }
}

/** Of the models and adapters that a repair looks at beside the one that it changes. */
const identitiesOf = ({ unaligned, safety }: ExperimentOptions["repair"]): Promise<string[]> =>
  Promise.all([unaligned, safety].flatMap((path) => (path === undefined ? [] : [modelIdentity(path)])));

/** False where another process has the run. Throws whatever else goes wrong. */
async function unlessLocked(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof BoosterError && error.code === "RUN_LOCKED") return false;
    throw error;
  }
}

/** What is evaluated. */
interface Judged {
  readonly model: string;
  readonly adapters: string[];
}

type Asked = Pick<ExperimentOptions["evaluate"], "attack">;

/** An attack is evaluated in its own way of asking, where it has one. */
const askedBy = (attack: Named): Asked => (choose(ATTACKS, attack).ask === undefined ? {} : { attack });

type Policy = ExperimentOptions["attack"]["adapterPolicy"];

const adapterProof = (run: string): string => join(run, "adapter", "adapter_config.json");

const modelProof = (run: string): string => join(run, "model", "config.json");

const stopped = () =>
  new BoosterError("STOPPED", "the experiment was stopped before its end", {
    hint: "Start it again with the same options: what is done is kept.",
  });
