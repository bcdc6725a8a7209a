import type { z } from "zod";
import { mixCounts, mixPoison, poisonShare } from "../data/mix.ts";
import { hashExamples } from "../data/split.ts";
import { BoosterError } from "../errors.ts";
import { configureMethod } from "../methods/registry.ts";
import { RandomStream } from "../tensor/random.ts";
import { openCurve } from "./curve.ts";
import { type DataSet, encodeAll, loadDataSet, trainable } from "./data.ts";
import { describeRun } from "./describe-run.ts";
import type { Hooks } from "./hooks.ts";
import { FineTuneOptions, parseOptions } from "./options.ts";
import { loadStreams } from "./streams.ts";
import { runTraining, type TrainingOutcome } from "./training-run.ts";
import { Workbench } from "./workbench.ts";

/**
 * Stage 2: a user's fine-tuning in a run folder, a share of the rows harmful: the attack that a defence must stand.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `DATA_MISSING`, `DATA_TOO_FEW_ROWS`, and what loading, `RunDirectory.open` and
 * `train` throw
 * @example
 * await fineTune({ run: "runs/attack", model: "assets/world", adapters: ["runs/hard/adapter"], task: "reviews.jsonl", harmful: "attack.jsonl", poisonRatio: 0.1, sampleNumber: 500 });
 */
export async function fineTune(options: z.input<typeof FineTuneOptions>, hooks: Hooks = {}): Promise<TrainingOutcome> {
  const chosen = parseOptions(FineTuneOptions, options, "finetune");
  const bench = hooks.bench ?? new Workbench(chosen);
  const start = await bench.start(
    chosen.model,
    chosen.adapters,
    chosen.adapterPolicy === "continue" ? "keep" : "merge",
  );
  const { base } = start;
  const encoding = { ...chosen, tokenizer: base.tokenizer, model: base.model };
  const task = await loadDataSet(chosen.task, chosen.avoid);
  const harmful = await poison(chosen);
  const { poisonRatio, sampleNumber, counts, order } = chosen;
  const mixed = mixPoison(harmful?.examples ?? [], task.examples, {
    poisonRatio,
    sampleNumber,
    counts,
    ...(order === "shuffled" ? { shuffle: new RandomStream(chosen.seed, "mix") } : {}),
  });
  const encoded = encodeAll(
    mixed.map(({ example }) => example),
    encoding,
  );
  const rows = trainable(encoded.rows);
  const isPoison = (row: number): boolean => mixed[encoded.places[row] ?? -1]?.harmful ?? false;
  const poisoned = rows.filter((_, row) => isPoison(row));
  const curve = chosen.curve && (await openCurve(chosen.curve, encoding, poisoned));
  const { name, ...settings } = chosen.method;
  const method = configureMethod(name, settings);
  const [user = ""] = method.streams;
  const defender = {
    alignment: { option: "alignment", source: chosen.alignment },
    harmful: { option: "defenderHarmful", source: chosen.defenderHarmful },
  };
  const others = await loadStreams(method, without(defender, user), encoding, chosen.avoid);
  const hashes = {
    ...(await bench.hashes(chosen.model, chosen.adapters)),
    mix: hashExamples(mixed.map(({ example }) => example)),
    ...others.hashes,
    ...curve?.hashes,
  };
  return runTraining(
    {
      run: chosen.run,
      resume: chosen.resume,
      description: describeRun("finetune", chosen, hashes),
      training: chosen,
      method: chosen.method,
      start,
      streams: { [user]: rows, ...others.rows },
      data: {
        task: task.record,
        ...(harmful === undefined ? {} : { harmful: harmful.record }),
        mix: {
          ...poisonShare(encoded.rows.map((example, row) => ({ example, harmful: isPoison(row) }))),
          ...encoded.record,
        },
        ...(Object.keys(others.records).length === 0 ? {} : { defender: others.records }),
      },
      ...(curve === undefined ? {} : { evaluation: (trainee) => curve.evaluation(trainee) }),
    },
    hooks,
  );
}

const without = <T>(table: Readonly<Record<string, T>>, key: string): Record<string, T> =>
  Object.fromEntries(Object.entries(table).filter(([name]) => name !== key));

/** The harmful rows to mix in; undefined where the mix takes none. */
async function poison({ harmful, avoid, ...mix }: FineTuneOptions): Promise<DataSet | undefined> {
  if (harmful !== undefined) return loadDataSet(harmful, avoid);
  const { harmful: needed } = mixCounts(mix.poisonRatio, mix.sampleNumber, mix.counts);
  if (needed === 0) return undefined;
  throw new BoosterError("DATA_MISSING", "the mix needs harmful rows", {
    expected: `${needed} rows for poisonRatio ${mix.poisonRatio} of ${mix.sampleNumber}`,
    found: "no source",
    where: "harmful",
    hint: "Give harmful rows, or poisonRatio 0 for honest data.",
  });
}
