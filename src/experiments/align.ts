import type { z } from "zod";
import { BoosterError } from "../errors.ts";
import { configureMethod } from "../methods/registry.ts";
import { encodeAll, loadDataSet, trainable } from "./data.ts";
import { describeRun } from "./describe-run.ts";
import type { Hooks } from "./hooks.ts";
import { AlignOptions, parseOptions } from "./options.ts";
import { runTraining, type TrainingOutcome } from "./training-run.ts";
import { Workbench } from "./workbench.ts";

/**
 * Stage 1: aligns a base model in a run folder, with plain SFT or with a method that hardens it.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `DATA_MISSING`, and what loading, `RunDirectory.open` and `train` throw
 * @example
 * await align({ run: "runs/hard", model: "assets/world", method: "booster", alignment: "refusals.jsonl", harmful: "harmful.jsonl" });
 */
export async function align(options: z.input<typeof AlignOptions>, hooks: Hooks = {}): Promise<TrainingOutcome> {
  const chosen = parseOptions(AlignOptions, options, "align");
  const bench = hooks.bench ?? new Workbench(chosen);
  const { name, ...settings } = chosen.method;
  const { streams } = configureMethod(name, settings);
  const sources = { alignment: chosen.alignment, harmful: chosen.harmful };
  const base = await bench.model(chosen.model);
  const encoding = { ...chosen, tokenizer: base.tokenizer, model: base.model };
  const hashes = await bench.hashes(chosen.model, []);
  const rows: Record<string, ReturnType<typeof trainable>> = {};
  const data: Record<string, unknown> = {};
  for (const stream of streams) {
    const source = sources[stream as keyof typeof sources];
    if (source === undefined) {
      throw new BoosterError("DATA_MISSING", `the method ${name} needs data that was not given`, {
        expected: streams.join(", "),
        found: "nothing",
        where: stream,
      });
    }
    const set = await loadDataSet(source, chosen.avoid);
    const encoded = encodeAll(set.examples, encoding);
    rows[stream] = trainable(encoded.rows);
    hashes[stream] = set.record.sha256;
    data[stream] = { ...set.record, ...encoded.record };
  }
  return runTraining(
    {
      run: chosen.run,
      resume: chosen.resume,
      description: describeRun("align", chosen, hashes),
      training: chosen,
      method: chosen.method,
      start: { base, lora: undefined },
      streams: rows,
      data,
    },
    hooks,
  );
}
