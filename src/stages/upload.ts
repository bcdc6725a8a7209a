import { choose } from "../choice.ts";
import type { Example as DataExample } from "../data/examples.ts";
import { poisonShare } from "../data/mix.ts";
import { hashExamples } from "../data/split.ts";
import { encodeEach, encodeExample } from "../data/templates.ts";
import { BoosterError, type Watch } from "../errors.ts";
import { rateOf } from "../evaluate/index.ts";
import {
  ATTACKS,
  type Attack,
  type AttackRow,
  encodeRow,
  examplesOf,
  plainRow,
  type Victim,
} from "../methods/attacks/index.ts";
import type { Rewrite } from "../methods/rewrite.ts";
import type { Example } from "../models/index.ts";
import { asAdapter } from "../models/load.ts";
import { RandomStream } from "../tensor/random.ts";
import { watchOf } from "../train/index.ts";
import { type Encoding, loadDataSet, rowLimit, teller, trainable, usable } from "./data.ts";
import { GUARDS, type Guard } from "./guards.ts";
import type { FinetuneOptions } from "./options.ts";
import { newAdapter } from "./starting-weights.ts";
import type { Context, StartingPoint } from "./workbench.ts";

/** What a user uploads, as the provider trains on it. */
export interface Upload {
  readonly rows: readonly Example[];
  /** What they were written from. */
  readonly examples: readonly DataExample[];
  /** Those of the rows that the attacker had a hand in. */
  readonly poisoned: readonly Example[];
  /** SHA-256 of what the user uploaded. */
  readonly sha256: string;
  /** What the run's data.json says. */
  readonly record: Readonly<Record<string, unknown>>;
  /** Files for the run folder that the attack was asked for. */
  readonly files: Readonly<Record<string, string>>;
  /** How the attacker asks the attacked model; absent where questions stay as they are. */
  readonly ask?: (question: DataExample) => DataExample;
}

/**
 * The user's data set: the task and harmful rows as the attack arranges them, without what the provider's guard flags, written as the
 * method writes them.
 *
 * @throws {BoosterError} `DATA_MISSING`, `DATA_TOO_FEW_ROWS`, `DATA_EMPTY` when the guard leaves nothing, `UNKNOWN_ATTACK`, and
 * what loading and encoding throw
 */
export async function openUpload(
  chosen: FinetuneOptions,
  start: StartingPoint,
  encoding: Encoding,
  rewrite: Rewrite = {},
  context: Context = {},
): Promise<Upload> {
  const { signal, emit } = context;
  const attack = chosen.allRows ? asTheyAre(chosen) : choose(ATTACKS, chosen.attack);
  const task = await loadDataSet(chosen.task, chosen.avoid, teller(emit, "task"));
  checkHarmful(chosen, attack);
  const harmful = chosen.harmful && (await loadDataSet(chosen.harmful, chosen.avoid, teller(emit, "harmful"), true));
  const victim = victimOf(chosen, start, encoding, watchOf(context, { preparing: true }));
  const guard = chosen.moderation && choose(GUARDS, chosen.moderation)(victim, signal);
  const { poisonRatio, sampleNumber, counts, order } = chosen;
  const made = await attack.rows(
    {
      task: task.examples,
      harmful: harmful?.examples ?? [],
      poisonRatio,
      sampleNumber,
      counts,
      ...(order === "shuffled" ? { shuffle: new RandomStream(chosen.seed, "mix") } : {}),
    },
    victim,
    guard?.known,
  );
  const moderated = await moderate(made.rows, guard, teller(emit, "moderation"));
  const limit = rowLimit({ ...encoding, maxTokens: Number.POSITIVE_INFINITY });
  const written = (example: DataExample) => rewrite.user?.(example, encoding.tokenizer) ?? example;
  const encoded = usable(
    encodeEach(moderated.kept, (row) => encodeRow(row, (example) => victim.encode(written(example)), limit)),
    encoding.unusable,
    teller(emit, "upload"),
  );
  const isPoison = (row: number): boolean => moderated.kept[encoded.places[row] ?? -1]?.harmful ?? false;
  const rows = trainable(encoded.rows);
  return {
    rows,
    examples: moderated.kept.flatMap(examplesOf),
    poisoned: rows.filter((_, row) => isPoison(row)),
    sha256: hashExamples(made.rows.flatMap(examplesOf)),
    record: {
      task: task.record,
      ...(harmful === undefined ? {} : { harmful: harmful.record }),
      ...(made.record === undefined ? {} : { attack: made.record }),
      ...(moderated.record === undefined ? {} : { moderation: moderated.record }),
      mix: {
        ...poisonShare(encoded.rows.map((example, row) => ({ example, harmful: isPoison(row) }))),
        ...encoded.record,
      },
    },
    files: made.files ?? {},
    ...(attack.ask === undefined ? {} : { ask: attack.ask }),
  };
}

/** No attack: the user's rows, all of them. @throws {BoosterError} `OPTIONS_CONFLICT` */
function asTheyAre({ harmful, attack }: FinetuneOptions): Attack {
  if (harmful !== undefined || attack.name !== "mix") {
    throw new BoosterError("OPTIONS_CONFLICT", "allRows trains on the rows of the task and on no others", {
      found: harmful === undefined ? `attack: ${attack.name}` : "harmful rows",
      where: "allRows",
    });
  }
  return {
    needs: () => ({ harmful: 0, task: 0 }),
    rows: async ({ task }) => ({ rows: task.map((example) => plainRow(example, false)) }),
  };
}

/** @throws {BoosterError} `DATA_MISSING` where the attack needs harmful rows and there is no source for them */
export function checkHarmful(
  {
    harmful,
    poisonRatio,
    sampleNumber,
    counts,
  }: Pick<FinetuneOptions, "harmful" | "poisonRatio" | "sampleNumber" | "counts">,
  attack: Attack,
  where = "harmful",
): void {
  const needed = attack.needs({ poisonRatio, sampleNumber, counts }).harmful;
  if (harmful !== undefined || needed === 0) return;
  throw new BoosterError("DATA_MISSING", "the mix needs harmful rows", {
    expected: `${needed} rows for poisonRatio ${poisonRatio} of ${sampleNumber}`,
    found: "no source",
    where,
    hint: "Give harmful rows, or poisonRatio 0 for honest data.",
  });
}

function victimOf(chosen: FinetuneOptions, { base, lora }: StartingPoint, encoding: Encoding, watch: Watch): Victim {
  const options = rowLimit(encoding);
  return {
    base,
    seed: chosen.seed,
    watch,
    encode: (example) => encodeExample(example, options),
    get lora() {
      return asAdapter(lora ?? newAdapter(base, chosen));
    },
  };
}

/** Rows that the guard flags are dropped, and what it missed is counted. */
async function moderate(
  rows: readonly AttackRow[],
  guard: Guard | undefined,
  tell: ReturnType<typeof teller>,
): Promise<{ readonly kept: readonly AttackRow[]; readonly record?: Readonly<Record<string, unknown>> }> {
  if (guard === undefined) return { kept: rows };
  const flags = await guard.flags(rows);
  const judged = rows.map((row, place) => ({ row, flagged: flags[place] ?? false }));
  const kept = judged.filter(({ flagged }) => !flagged).map(({ row }) => row);
  if (kept.length === 0) {
    throw new BoosterError("DATA_EMPTY", "moderation leaves no row to train on", {
      found: `${rows.length} rows, all of them flagged`,
      where: `moderation: ${guard.name}`,
    });
  }
  const dropped = rows.length - kept.length;
  if (dropped > 0) tell(`${dropped} of ${rows.length} rows left out: ${guard.name} flagged them`);
  const of = (harmful: boolean) => judged.filter(({ row }) => row.harmful === harmful);
  const [poison, honest] = [of(true), of(false)];
  return {
    kept,
    record: {
      guard: guard.name,
      dropped,
      ...(poison.length === 0 ? {} : { leakage: rateOf(poison, ({ flagged }) => !flagged) }),
      ...(honest.length === 0 ? {} : { falsePositives: rateOf(honest, ({ flagged }) => flagged) }),
    },
  };
}
