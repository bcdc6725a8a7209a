import { choose, filesIn } from "../choice.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { determining, keyOf } from "../stages/describe-run.ts";
import type { RepairOptions } from "../stages/options.ts";
import { optionsOf, type StageName } from "../stages/stage.ts";
import { alignOptionsOf, attackOptionsOf, checkCell, forSeed, idOf, repairOptionsOf } from "./cell-options.ts";
import type { Attack, ExperimentOptions } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";
import { strengthLabel } from "./strengths.ts";

/** Names a piece of work by all that determines what comes of it, and the folder that it comes to. */
export type Key = string;

type Options = Readonly<Record<string, unknown>>;

/** Options that are chosen by what earlier pieces came to. The key of such a piece follows from `rule` and `from`, not from the choice. */
export interface Pick {
  /** Names the rule, with its settings. */
  readonly rule: string;
  readonly from: readonly Key[];
  /** @param runs folders of what came of `from` */
  pick(runs: readonly string[]): Options;
}

/** A piece of work: one stage, on what other pieces made. Models and data are named by hash; a runner knows where they lie. */
export interface Piece {
  readonly key: Key;
  readonly stage: StageName;
  /** What it is called in an experiment's folder. */
  readonly folder: Folder;
  readonly label: string;
  /** Those of the stage without model, folder and device. */
  readonly options: Options | Pick;
  /** The piece whose model it starts from; absent: the experiment's own. */
  readonly on?: Key | undefined;
  /** SHA-256 of each file that the options name. */
  readonly files: Readonly<Record<string, string>>;
}

export type Folder = "align" | "attack" | "repair" | "evaluate";

/** The stage that fills a folder. */
const stageIn = (folder: Folder): StageName => (folder === "attack" ? "finetune" : folder);

/** One method under one attack with one seed: the pieces that its scores are read from. */
export interface Cell {
  readonly method: number;
  readonly strength: number;
  readonly seed: number;
  readonly align: Key;
  readonly attack: Key;
  readonly before: Key;
  readonly after: Key;
}

export interface Plan {
  /** Each stands behind those that it needs. First seeds first, so that early results compare all methods. */
  readonly pieces: readonly Piece[];
  /** In the order of methods, strengths, seeds. */
  readonly cells: readonly Cell[];
}

/** SHA-256 of what an experiment reads: of models by path, and of data files by the path or pattern that names them. */
export interface Hashes {
  readonly models: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Keys of the pieces that must be there before this one. */
export const needsOf = ({ on, options }: Piece): readonly Key[] => [
  ...(on === undefined ? [] : [on]),
  ...(isPick(options) ? options.from : []),
];

/** Paths and patterns of the files that a piece reads. */
export const filesOf = ({ stage, options }: Piece): readonly string[] =>
  isPick(options) ? [] : filesIn(optionsOf(stage), options);

export const isPick = (options: Options | Pick): options is Pick => typeof options.pick === "function";

/**
 * All work of an experiment as data: nothing is read, computed or written. What cells have in common is one piece.
 *
 *     align -> touch up -> evaluate
 *                       -> attack -> repair -> evaluate      for each strength
 *
 * @throws {BoosterError} what `alignOptionsOf`, `attackOptionsOf`, `repairOptionsOf` and `pipelineOf` throw, `OPTIONS_CONFLICT`
 */
export function planOf(options: ExperimentOptions, hashes: Hashes): Plan {
  const pieces = new Map<Key, Piece>();
  const cells: Cell[] = [];
  const identity = hashes.models[options.model] ?? "";
  const place = (
    folder: Folder,
    label: string,
    chosen: Options,
    on: Key | undefined,
    upstream: readonly string[],
  ): Key => {
    const stage = stageIn(folder);
    const schema = optionsOf(stage);
    const files = Object.assign({}, ...filesIn(schema, chosen).map((path) => hashes.files[path]));
    const key = keyOf({ stage: folder, identity, upstream, options: determining(schema, chosen), files });
    if (!pieces.has(key)) pieces.set(key, { key, stage, folder, label, options: chosen, on, files });
    return key;
  };
  const planGroup = (method: number, seed: number): void => {
    const entry = options.methods[method] as ExperimentOptions["methods"][number];
    const name = `${idOf(options, method)} seed ${seed}`;
    const pipeline = pipelineOf(entry.method);
    const alignment = alignOptionsOf(options, entry, pipeline, seed);
    const align = place("align", `${name}: align`, alignment, undefined, []);
    /** Changes what was trained last by one transform after the other. */
    const transformed = (
      label: string,
      transforms: readonly RepairOptions["method"][],
      below: readonly Key[],
      last: Key,
      policy: Attack["adapterPolicy"],
    ): Key =>
      transforms.reduce((current, transform, i) => {
        const chosen = repairOptionsOf(options, transform, i === 0 ? policy : "merge-and-fresh", seed);
        const looked = [chosen.unaligned, chosen.safety].flatMap((path) =>
          path === undefined ? [] : [hashes.models[path] ?? ""],
        );
        return place("repair", `${label}: ${transform.name}`, chosen, current, [...below, current, ...looked]);
      }, last);
    const aligned = transformed(name, pipeline.alignmentTransforms, [], align, "merge-and-fresh");
    const questions = forSeed(options.evaluate, seed);
    const before = place("evaluate", `${name}: evaluate before the attack`, questions, aligned, [aligned]);
    for (const strength of options.strengths.keys()) {
      const label = `${name}: attack ${strengthLabel(options, strength)}`;
      const given = attackOptionsOf(options, entry, pipeline, strength, seed);
      checkCell(options, entry, pipeline, alignment, given, strength);
      // A touched-up adapter has factors of its own, whatever was asked for.
      const continued = given.adapterPolicy === "continue" && aligned !== align;
      const chosen = continued ? { ...given, ...NO_FACTORS } : given;
      const attack = place("attack", label, chosen, aligned, [aligned]);
      // An alignment of all weights leaves no adapter.
      const below = alignment.tune === "full" ? [] : [aligned];
      const repaired = transformed(label, pipeline.repairs, below, attack, given.adapterPolicy);
      // An attack is evaluated in its own way of asking, where it has one.
      const asked = choose(ATTACKS, given.attack).ask === undefined ? {} : { attack: given.attack };
      const after = place("evaluate", `${label}, evaluate`, { ...questions, ...asked }, repaired, [aligned, repaired]);
      cells.push({ method, strength, seed, align, attack, before, after });
    }
  };
  for (const seed of options.seeds) for (const method of options.methods.keys()) planGroup(method, seed);
  const inOrder = cells.toSorted((a, b) => a.method - b.method || a.strength - b.strength || a.seed - b.seed);
  return { pieces: [...pieces.values()], cells: inOrder };
}

const NO_FACTORS = { loraRank: undefined, loraAlpha: undefined, targetModules: undefined };
