import { choose, filesIn } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { determining, keyOf } from "../stages/describe-run.ts";
import type { RepairOptions } from "../stages/options.ts";
import { optionsOf, type StageName } from "../stages/stage.ts";
import { alignOptionsOf, attackOptionsOf, checkCell, forSeed, idOf, repairOptionsOf } from "./cell-options.ts";
import type { Attack, ExperimentOptions, SparseAttack } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";
import { apartFromSearch, boundsOf, fitsAll, questionsOf, shortened, standing } from "./search/fit.ts";
import { candidatesOf, rungsOf } from "./search/trials.ts";
import { strengthLabel } from "./strengths.ts";

/** Names a piece of work by all that determines what comes of it, and the folder that it comes to. */
export type Key = string;

type Options = Readonly<Record<string, unknown>>;

/**
 * Options that are chosen by what earlier pieces came to. The key of such a piece follows from `rule`, `from` and what there is to
 * choose from, not from the choice.
 */
export interface Pick {
  /** Names the rule, with its settings. */
  readonly rule: string;
  readonly from: readonly Key[];
  readonly candidates: readonly Options[];
  /** @param runs folders of what came of `from`; undefined for a piece that was left out */
  pick(runs: readonly (string | undefined)[]): Options;
}

/** Which of several attacks it is, by what earlier pieces came to. */
interface Choice extends Omit<Pick, "candidates" | "pick"> {
  which(runs: readonly (string | undefined)[]): number;
}

/** What of a piece of work says what came of it, as data. */
export interface Placed {
  readonly key: Key;
  readonly stage: StageName;
  /** What it is called in an experiment's folder. */
  readonly folder: Folder;
  readonly label: string;
  /** The piece whose model it starts from; absent: the experiment's own. */
  readonly on?: Key | undefined;
  /** Those whose results choose its options. */
  readonly from?: readonly Key[] | undefined;
}

/** A piece of work: one stage, on what other pieces made. Models and data are named by hash; a runner knows where they lie. */
export interface Piece extends Placed {
  /** Those of the stage without model, folder and device. */
  readonly options: Options | Pick;
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

/** The search for the worst attack on one method with one seed: a cell behind the listed strengths, whose attack is the best trial's. */
export interface SearchCell extends Cell {
  /** Evaluations of the trials on the search's own questions, rung by rung. */
  readonly rungs: readonly { readonly share: number; readonly judged: readonly Key[] }[];
}

export interface Plan {
  /** Of the model that all starts from. */
  readonly identity: string;
  /** Each stands behind those that it needs. First seeds first, so that early results compare all methods. */
  readonly pieces: readonly Piece[];
  /** In the order of methods, strengths, seeds. */
  readonly cells: readonly Cell[];
  readonly searches: readonly SearchCell[];
  /** What the trials of the searches change in the attack. */
  readonly candidates: readonly SparseAttack[];
}

/** SHA-256 of what an experiment reads: of models by path, and of data files by the path or pattern that names them. */
export interface Hashes {
  readonly models: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Keys of the pieces that must be there before this one. */
export const needsOf = ({ on, from = [] }: Placed): readonly Key[] => [...(on === undefined ? [] : [on]), ...from];

/**
 * Some pieces of a plan and all that they need, in its order.
 *
 * @throws {BoosterError} `PIECE_UNKNOWN` for a key that no piece has
 */
export function withNeeds(pieces: readonly Piece[], keys: readonly Key[]): Piece[] {
  const byKey = new Map(pieces.map((piece) => [piece.key, piece]));
  const needed = new Set(keys);
  // A set hands out what is added while one walks through it.
  for (const key of needed) {
    const piece = byKey.get(key);
    if (piece !== undefined) for (const need of needsOf(piece)) needed.add(need);
    else {
      throw new BoosterError("PIECE_UNKNOWN", "the experiment has no such piece of work", {
        found: key,
        hint: "Options, model or data are others than those that the piece was planned with: plan again with --dry-run.",
      });
    }
  }
  return pieces.filter(({ key }) => needed.has(key));
}

/** Paths and patterns of the files that a piece reads. */
export const filesOf = ({ stage, options }: Piece): readonly string[] =>
  (isPick(options) ? options.candidates : [options]).flatMap((chosen) => filesIn(optionsOf(stage), chosen));

export const isPick = (options: Options | Pick): options is Pick => typeof options.pick === "function";

/**
 * All work of an experiment as data: nothing is read, computed or written. What cells have in common is one piece.
 *
 *     align -> touch up -> evaluate
 *                       -> attack -> repair -> evaluate      for each strength
 *                       -> trials -> repair -> judge -> the worst of them -> repair -> evaluate      with a search
 *
 * @throws {BoosterError} what `alignOptionsOf`, `attackOptionsOf`, `repairOptionsOf` and `pipelineOf` throw, `OPTIONS_CONFLICT`
 */
export function planOf(given: ExperimentOptions, hashes: Hashes): Plan {
  const options = apartFromSearch(given);
  const { search } = options.attack;
  const candidates = search === undefined ? [] : candidatesOf(search, (trial) => fitsAll(options, trial));
  const pieces = new Map<Key, Piece>();
  const cells: Cell[] = [];
  const searches: SearchCell[] = [];
  const identity = hashes.models[options.model] ?? "";
  const place = (
    folder: Folder,
    label: string,
    chosen: Options | Pick,
    on: Key | undefined,
    upstream: readonly string[],
  ): Key => {
    const stage = stageIn(folder);
    const schema = optionsOf(stage);
    const read = isPick(chosen) ? chosen.candidates : [chosen];
    const paths = read.flatMap((one) => filesIn(schema, one));
    const files = Object.assign({}, ...paths.map((path) => hashes.files[path]));
    const determined = isPick(chosen)
      ? { rule: chosen.rule, from: chosen.from, candidates: read.map((one) => determining(schema, one)) }
      : determining(schema, chosen);
    const key = keyOf({ stage: folder, identity, upstream, options: determined, files });
    const from = isPick(chosen) ? chosen.from : undefined;
    if (!pieces.has(key)) pieces.set(key, { key, stage, folder, label, options: chosen, on, from, files });
    return key;
  };
  const planGroup = (method: number, seed: number): void => {
    const entry = options.methods[method] as ExperimentOptions["methods"][number];
    const name = `${idOf(options, method)} seed ${seed}`;
    const pipeline = pipelineOf(entry.method);
    const alignment = alignOptionsOf(options, entry, pipeline, seed);
    const align = place("align", `${name}: align`, alignment, undefined, []);
    /** Changes what was trained last by one transform after the other; several policies where there is a choice of attacks. */
    const transformed = (
      label: string,
      transforms: readonly RepairOptions["method"][],
      below: readonly Key[],
      last: Key,
      policies: readonly Attack["adapterPolicy"][],
      choice?: Choice,
    ): Key =>
      transforms.reduce((current, transform, i) => {
        const all = policies.map((policy) =>
          repairOptionsOf(options, transform, i === 0 ? policy : "merge-and-fresh", seed),
        );
        const looked = [all[0]?.unaligned, all[0]?.safety].flatMap((path) =>
          path === undefined ? [] : [hashes.models[path] ?? ""],
        );
        const chosen = choosing(all, choice);
        return place("repair", `${label}: ${transform.name}`, chosen, current, [...below, current, ...looked]);
      }, last);
    const aligned = transformed(name, pipeline.alignmentTransforms, [], align, ["merge-and-fresh"]);
    const questions = forSeed(options.evaluate, seed);
    const before = place("evaluate", `${name}: evaluate before the attack`, questions, aligned, [aligned]);
    /** One attack, or the one of several that is chosen, and what is repaired after it. */
    const attacked = (label: string, given: readonly Attack[], choice?: Choice) => {
      // A touched-up adapter has factors of its own, whatever was asked for.
      const own = given.map((one) =>
        one.adapterPolicy === "continue" && aligned !== align ? { ...one, ...NO_FACTORS } : one,
      );
      const attack = place("attack", label, choosing(own, choice), aligned, [aligned]);
      // An alignment of all weights leaves no adapter.
      const below = alignment.tune === "full" ? [] : [aligned];
      const policies = given.map(({ adapterPolicy }) => adapterPolicy);
      return { attack, repaired: transformed(label, pipeline.repairs, below, attack, policies, choice) };
    };
    for (const strength of options.strengths.keys()) {
      const label = `${name}: attack ${strengthLabel(options, strength)}`;
      const given = attackOptionsOf(options, entry, pipeline, strength, seed);
      checkCell(options, entry, pipeline, alignment, given, strength);
      const { attack, repaired } = attacked(label, [given]);
      // An attack is evaluated in its own way of asking, where it has one.
      const asked = choose(ATTACKS, given.attack).ask === undefined ? {} : { attack: given.attack };
      const after = place("evaluate", `${label}, evaluate`, { ...questions, ...asked }, repaired, [aligned, repaired]);
      cells.push({ method, strength, seed, align, attack, before, after });
    }
    if (search === undefined) return;
    const tried = { ...options, strengths: [...candidates] };
    const trials = candidates.map((_, i) => attackOptionsOf(tried, entry, pipeline, i, seed));
    const judging = forSeed({ ...options.evaluate, ...questionsOf(search) }, seed);
    const rungs: { share: number; judged: Key[] }[] = [];
    const choiceOf = (place: number): Choice => {
      const done = rungs.map(({ judged }) => judged.length);
      return {
        rule: JSON.stringify(["attack search", place, done, boundsOf(options)]),
        from: rungs.flatMap(({ judged }) => judged),
        which: (runs) => standing(runs, done, candidates.length, boundsOf(options))[place] as number,
      };
    };
    for (const [i, { trials: most, share }] of rungsOf(search).entries()) {
      const given = trials.map((trial) => shortened(trial, share));
      const judged = given.slice(0, most).map((trial, slot) => {
        const label = `${name}: search ${i + 1}.${slot + 1}`;
        const { repaired } = i === 0 ? attacked(label, [trial]) : attacked(label, given, choiceOf(slot));
        return place("evaluate", `${label}, judge`, judging, repaired, [aligned, repaired]);
      });
      rungs.push({ share, judged });
    }
    const label = `${name}: worst attack found`;
    const { attack, repaired } = attacked(label, trials, choiceOf(0));
    const after = place("evaluate", `${label}, evaluate`, questions, repaired, [aligned, repaired]);
    searches.push({ method, strength: options.strengths.length, seed, align, attack, before, after, rungs });
  };
  for (const seed of options.seeds) for (const method of options.methods.keys()) planGroup(method, seed);
  const inOrder = cells.toSorted((a, b) => a.method - b.method || a.strength - b.strength || a.seed - b.seed);
  return { identity, pieces: [...pieces.values()], cells: inOrder, searches, candidates };
}

/** The only options there are, or a choice of several. */
const choosing = (all: readonly Options[], choice: Choice | undefined): Options | Pick =>
  choice === undefined
    ? (all[0] as Options)
    : {
        rule: choice.rule,
        from: choice.from,
        candidates: all,
        pick: (runs) => all[choice.which(runs)] as Options,
      };

const NO_FACTORS = { loraRank: undefined, loraAlpha: undefined, targetModules: undefined };
