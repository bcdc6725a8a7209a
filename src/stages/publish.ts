import { join } from "node:path";
import { makeFolder, writeFileAtomic, writeFiles } from "../formats/atomic-file.ts";
import { baseOf } from "../formats/hub/reference.ts";
import { writeAdapter } from "../formats/peft.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { sumOf } from "../models/adapter-sum.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import { configText } from "../models/config.ts";
import type { Model } from "../models/index.ts";
import { type NamedWeights, readChain } from "../models/load.ts";
import {
  type AdapterLink,
  lineage,
  MODEL_FILE,
  type ModelFile,
  modelFileText,
  type Template,
} from "../models/model-file.ts";
import { standsTransposed, transposed } from "../models/orientation.ts";
import { modelIdentity } from "../models/source.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { RunDirectory } from "../train/index.ts";
import { adapterCard } from "./adapter-card.ts";
import type { Origin } from "./workbench.ts";

/** What a run's model.json says beside what was trained. */
export interface Lineage {
  readonly origin: Origin;
  /** The adapters that what was trained stands on. */
  readonly below: readonly AdapterLink[];
  /** Whether what comes out is an aligned model, for those who want to know later what alignment changed. */
  readonly aligns: boolean;
  readonly template: Template;
}

/**
 * Publishes an adapter in a run's folder: as `adapter` what stands on the base model alone. What was trained on top of other adapters is
 * published as `delta`, which names its parent and is refused without it; `adapter` is then the sum of all.
 *
 * @returns the folder of `adapter`. Throws what `RunDirectory.publish` and `writeAdapter` throw.
 */
export async function publishAdapter(
  run: RunDirectory,
  trained: LoraAdapter,
  model: Model,
  made: Lineage,
): Promise<string> {
  const { origin, below } = made;
  const write = (name: string, { config, tensors }: LoraAdapter, parent?: string) =>
    run.publish(name, (folder) =>
      writeAdapter(folder, config, tensors, {
        ...baseOf(origin.base.path),
        parent,
        card: parent === undefined ? adapterCard(run.path, config, made) : undefined,
      }),
    );
  const delta = below.length > 0 ? write("delta", trained, lineage(origin.sha256, below)) : undefined;
  const adapter = write("adapter", onBase(trained, model, made));
  const folder = delta ?? adapter;
  const adapters = [...below, { folder, sha256: await modelIdentity(folder) }];
  const { path, ignoredConfigKeys } = origin.base;
  const base = { path, sha256: origin.sha256, ...(ignoredConfigKeys && { ignoredConfigKeys: [...ignoredConfigKeys] }) };
  writeModelFile(run, made, base, adapters);
  return adapter;
}

/** What was trained together with the adapters that it stands on: one adapter on the base alone. */
export function onBase(trained: LoraAdapter, model: Model, { origin, below }: Lineage): LoraAdapter {
  const [first, ...rest] = [...readChain(model, origin.sha256, below), trained];
  return sumOf([first as LoraAdapter, ...rest]);
}

/** Publishes a model whose weights were all trained, as a Hugging Face folder. Throws what `RunDirectory.publish` throws. */
export async function publishModel(run: RunDirectory, weights: NamedWeights, made: Lineage): Promise<string> {
  const path = run.publish("model", (folder) => writeModel(folder, made.origin.base, weights));
  await recordModel(run, path, made);
  return path;
}

/** Says that a run made a model of its own. */
export async function recordModel(run: RunDirectory, path: string, made: Lineage): Promise<void> {
  writeModelFile(run, { ...made, aligns: true }, { path, sha256: await modelIdentity(path) }, []);
}

function writeModelFile(
  run: RunDirectory,
  { origin, aligns, template }: Lineage,
  base: ModelFile["base"],
  adapters: readonly AdapterLink[],
): void {
  const alignment = aligns ? adapters : origin.alignment;
  run.writeFile(MODEL_FILE, modelFileText(run.path, { base, adapters, alignment, template }));
}

/** Weights, configuration and tokenizer as a Hugging Face folder; the configuration last, since a folder without it is no model. */
export function writeModel(
  folder: string,
  { config, tokenizerFiles }: { config(): unknown; tokenizerFiles(): ReadonlyMap<string, Uint8Array> },
  weights: NamedWeights,
): void {
  makeFolder(folder);
  writeFiles(folder, tokenizerFiles());
  const description = config();
  const stored = [...weights].map(([name, weight]): [string, HostTensor] => [
    name,
    standsTransposed(description, name) ? transposed(weight) : weight,
  ]);
  writeSafetensors(join(folder, "model.safetensors"), new Map(stored), { format: "pt" });
  writeFileAtomic(join(folder, "config.json"), [Buffer.from(configText(description))]);
}
