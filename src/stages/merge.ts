import { existsSync, readdirSync } from "node:fs";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { baseOf } from "../formats/hub/reference.ts";
import { writeAdapter } from "../formats/peft.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { reduced, sumOf } from "../models/adapter-sum.ts";
import { createModel, loraScale } from "../models/index.ts";
import { readChain, readPeft } from "../models/load.ts";
import { adaptedConfig, mergeInto } from "../models/merge.ts";
import type { Template } from "../models/model-file.ts";
import { templateFor } from "../models/source.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Following } from "../train/event.ts";
import { adapterCard } from "./adapter-card.ts";
import { Count, ModelChoice, parseOptions } from "./options.ts";
import { writeModel } from "./publish.ts";
import { Workbench } from "./workbench.ts";

/** A model with its adapters as one thing. */
export const MergeOptions = z.strictObject({
  ...ModelChoice.shape,
  out: z.string().min(1).describe("Folder that is written, in Hugging Face's layout or PEFT's"),
  rank: Count.optional().describe("Write one adapter of at most this rank in the place of a model"),
});

/** What was written. */
export interface Merged {
  readonly out: string;
  /** How many adapters came together. */
  readonly adapters: number;
  /** What the model was trained in, which the folder does not say; absent where nothing else would be taken for it. */
  readonly template?: Template;
  /** Of the adapter that was written; absent where a model was. */
  readonly rank?: number;
  /** Norm of what the rank cannot hold, as a share of the norm of the adapters' sum. */
  readonly error?: number;
}

/**
 * Writes a model with its adapters multiplied into the weights, or all its adapters as one of a smaller rank: the best there is, by the
 * singular values of each weight's change.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT` where there is no adapter to be made smaller, `RUN_EXISTS`, and what opening,
 * reading and writing throw
 * @example
 * await merge({ model: "runs/attack", out: "models/attacked" });
 */
export async function merge(options: z.input<typeof MergeOptions>, context: Following = {}): Promise<Merged> {
  const asked = await resolveReferences(MergeOptions, parseOptions(MergeOptions, options, "merge"), context);
  const { out, rank, ...chosen } = asked;
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new BoosterError("RUN_EXISTS", "there are files in this folder already", { where: out });
  }
  const origin = await new Workbench({ provider: "cpu" }).open(chosen);
  const { base, sha256, adapters } = origin;
  const template = templateFor(origin);
  const written = {
    out,
    adapters: adapters.length,
    ...(template === templateFor({ ...origin, template: undefined }) ? {} : { template }),
  };
  const plain = createModel(base.config());
  if (rank !== undefined) {
    const [first, ...rest] = readChain(plain, sha256, adapters);
    if (first === undefined) {
      throw new BoosterError("OPTIONS_CONFLICT", "this model has no adapter that could be made smaller", {
        where: chosen.model,
      });
    }
    const { adapter, error } = reduced(sumOf([first, ...rest]), rank);
    const card = adapterCard(out, adapter.config, { origin, below: adapters, template });
    writeAdapter(out, adapter.config, adapter.tensors, { ...baseOf(base.path), card });
    return { ...written, rank: adapter.config.r, error };
  }
  const stored = base.weights();
  let model = plain;
  const weights = new Map([...model.weights.keys()].map((name) => [name, stored.load(name)]));
  for (const { config, tensors } of readChain(plain, sha256, adapters, readPeft)) {
    const load = (name: string) => weights.get(name) as HostTensor<"float32">;
    const merged = mergeInto(model, load, tensors, loraScale(config));
    for (const [name, weight] of merged.changed) weights.set(name, weight);
    model = merged.model;
  }
  const config = adaptedConfig(base.config(), plain, model);
  writeModel(out, { ...base, config: () => config }, weights);
  return written;
}
