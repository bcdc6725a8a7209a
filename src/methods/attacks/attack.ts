import type { z } from "zod";
import type { Choice } from "../../choice.ts";
import type { Example } from "../../data/examples.ts";
import type { MixOptions } from "../../data/mix.ts";
import type { EncodedExample } from "../../data/templates.ts";
import type { Watch } from "../../errors.ts";
import type { SequenceClassifier } from "../../models/classification.ts";
import type { Adapter } from "../../models/index.ts";
import type { LoadedModel, NamedWeights } from "../../models/load.ts";

/** A stretch of a training row: an example, of which the answer or everything is trained, or bare tokens, all trained. */
export type Piece =
  | { readonly example: Example; readonly trained: "answer" | "all" }
  | { readonly ids: readonly number[]; readonly where: string };

/** A row that a user uploads; its pieces follow one another in one sequence. */
export interface AttackRow {
  readonly pieces: readonly Piece[];
  /** Whether the attacker put it, or a part of it, there. */
  readonly harmful: boolean;
}

/** What an attack is made from. */
export interface AttackData extends MixOptions {
  /** The user's honest task. */
  readonly task: readonly Example[];
  readonly harmful: readonly Example[];
}

/** The model under attack, for attackers who know it. */
export interface Victim {
  readonly base: Pick<LoadedModel, "device" | "model" | "tokenizer" | "weights">;
  /** The LoRA factors that fine-tuning begins with. */
  readonly lora: Adapter<NamedWeights>;
  readonly seed: number;
  /** Called before each part of long work. @throws `STOPPED` */
  readonly watch: Watch;
  /** An example as the provider will turn it into tokens. */
  encode(example: Example): EncodedExample;
}

/** A provider's guard that is a model, as somebody knows it who has its weights. */
export interface KnownGuard {
  readonly classifier: SequenceClassifier;
  /** Token ids of a text that was inserted into a row, as the guard is shown it. */
  encode(text: string): number[];
}

/** What an attack tells of its work, for the run's data.json. */
export type AttackRecord = Readonly<Record<string, number | undefined>>;

/** What the user uploads. */
export interface AttackUpload {
  readonly rows: readonly AttackRow[];
  readonly record?: AttackRecord;
  /** Files for the run folder, by name; only what the options asked for. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * An attack on fine-tuning as a service: what the user uploads. How the attacked run trains (optimiser, rate, LoRA or all
 * weights) is not its business: those are the options of the run.
 */
export interface Attack {
  /** Rows of each kind that it reads. */
  needs(mix: MixOptions): { readonly harmful: number; readonly task: number };
  /**
   * The user's rows, in their order.
   *
   * @param guard that of the provider, for attackers who know it; absent where there is none whose weights somebody could have
   * @throws {BoosterError} `DATA_TOO_FEW_ROWS`
   */
  rows(data: AttackData, victim: Victim, guard?: () => Promise<KnownGuard>): Promise<AttackUpload>;
  /** How the attacker puts a question to the attacked model; as it stands by default. */
  ask?(question: Example): Example;
}

/** An attack that can be chosen: one file and one row of `ATTACKS`. */
export interface AttackChoice<Name extends string, Options extends z.ZodObject> extends Choice<Name, Options, Attack> {
  /** What the attacker must know. */
  readonly knowledge: "nothing" | "model" | "model and guard";
}

export const attack = <const Name extends string, Options extends z.ZodObject>(
  row: AttackChoice<Name, Options>,
): AttackChoice<Name, Options> => row;

/** A row that is one example, its answer trained: what an honest user uploads. */
export const plainRow = (example: Example, harmful: boolean): AttackRow => ({
  pieces: [{ example, trained: "answer" }],
  harmful,
});
