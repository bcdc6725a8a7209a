import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";
import { placeOf } from "../formats/hub/cache.ts";
import { type Adapter, readAdapterConfig } from "../formats/peft.ts";
import {
  beyondFactors,
  checkParent,
  type LoadedModel,
  loadBase,
  mergeAdapter,
  readChain,
  readLora,
  readPeft,
} from "../models/load.ts";
import { type AdapterLink, lineage, MODEL_FILE, readModelFile, refuseOutdated } from "../models/model-file.ts";
import { modelIdentity, openSource, type StoredModel } from "../models/source.ts";
import type { BaseForm } from "../models/storages.ts";
import { Device } from "../runtime/index.ts";
import { type Following, readDescription } from "../train/index.ts";
import type { DeviceChoice, ProfileChoice } from "./options.ts";

/** What a stage is followed and stopped by, and works with. */
export interface Context extends Following {
  /** Device, models and programs to share with other calls; by default each call opens its own. */
  readonly bench?: Workbench;
}

/** A model that is what it says: a base and the adapters on it, whose hashes have been compared. */
export interface Origin extends StoredModel {
  readonly sha256: string;
}

/** A model to start from: weights, and the adapter on top of them that is not merged. */
export interface StartingPoint {
  readonly origin: Origin;
  readonly base: LoadedModel;
  readonly lora: Adapter | undefined;
}

interface Start {
  readonly form?: BaseForm | undefined;
  readonly purpose?: "use" | "go on";
}

/** Models that stay loaded: the one that runs start from, and the one at hand. */
const KEPT_MODELS = 2;

/** The device that is asked for. */
export const deviceOf = ({ provider, threads, profile }: DeviceChoice & ProfileChoice): Device =>
  new Device({
    provider,
    ...(threads === undefined ? {} : { threads }),
    ...(profile === undefined ? {} : { profilePrefix: profile }),
  });

/**
 * What several runs can share: one device with its compiled programs, and a model's weights once.
 *
 * @example
 * const bench = new Workbench({ provider: "cpu", threads: 1 });
 * await align(options, { bench });
 */
export class Workbench {
  readonly device: Device;
  private readonly models = new Map<string, Promise<LoadedModel>>();
  private readonly identities = new Map<string, Promise<string>>();

  constructor(choice: DeviceChoice & ProfileChoice, device = deviceOf(choice)) {
    this.device = device;
  }

  /**
   * A model by its reference, with further adapters on top of it. Adapters are read anew each time: they may have been trained since.
   *
   * @throws {BoosterError} `MODEL_CHANGED`, `PARENT_MISSING`, `RUN_OUTDATED`, `OPTIONS_CONFLICT` for a run's only adapter on top of others, and what `openSource` throws
   * @example
   * const origin = await bench.open({ model: "runs/attack" });
   */
  async open({
    model,
    adapters = [],
    ignoreConfigKeys,
    continued = false,
  }: {
    readonly model: string;
    readonly ignoreConfigKeys?: readonly string[] | undefined;
    readonly adapters?: readonly string[];
    /** The last adapter goes on from the one before it, and takes its place. */
    readonly continued?: boolean;
  }): Promise<Origin> {
    const stored = openSource(model, ignoreConfigKeys);
    const { base } = stored;
    const sha256 = await remember(this.identities, base.path, () => base.identity());
    if (stored.sha256 !== undefined) await checkHash({ folder: base.path, sha256: stored.sha256 }, sha256);
    for (const link of stored.adapters) await checkHash(link);
    const chain = [...stored.adapters];
    let { template } = stored;
    for (const named of adapters) {
      const given = placeOf(named);
      const run = dirname(given);
      const made = existsSync(join(run, MODEL_FILE)) ? readModelFile(run) : undefined;
      // A run's `adapter` is the sum, which stands on the base alone; on top of others its last part is meant.
      const onOthers = made !== undefined && basename(given) === "adapter" && chain.length > 0;
      const isSum = onOthers && made.adapters.length > 1;
      if (onOthers && !isSum && !continued) throw standsAlone(given, chain);
      const folder = isSum ? join(run, "delta") : given;
      // Version 0.1 called `adapter` what stands on others as well: alone it would be a model without its alignment.
      if (chain.length === 0 && readDescription(run)?.data["adapter 1"] !== undefined) refuseOutdated(run);
      checkParent(readAdapterConfig(folder), folder, lineage(sha256, chain));
      chain.push({ folder, sha256: await modelIdentity(folder) });
      template = made?.template ?? template;
    }
    const alignment = stored.adapters.length === 0 ? chain : stored.alignment;
    return { ...stored, sha256, adapters: chain, alignment, template };
  }

  /** A model without what stands on it; the last two that were asked for stay loaded. Throws what `loadBase` throws. */
  model({ base }: Pick<StoredModel, "base">, form?: BaseForm): Promise<LoadedModel> {
    const key = [form ?? "as stored", base.path, ...(base.ignoredConfigKeys ?? [])].join(" ");
    const model = remember(this.models, key, () => loadBase(base, this.device, { form }));
    this.models.delete(key);
    this.models.set(key, model);
    for (const old of [...this.models.keys()].slice(0, -KEPT_MODELS)) this.models.delete(old);
    return model;
  }

  /**
   * A model with its adapters: all merged, or all but the last one, which is left on top.
   *
   * @param form what the base's matrices are kept in; those that adapters are merged into are float32
   * @param purpose what is only used may hold anything that an adapter can; what is gone on from is LoRA factors on linear layers, since
   *   it is added up with what comes
   * @throws {BoosterError} what `readChain` and `loadBase` throw
   */
  async start(origin: Origin, last: "merge" | "keep", { form, purpose = "go on" }: Start = {}): Promise<StartingPoint> {
    let base = await this.model(origin, form);
    const adapters = readChain(base.model, origin.sha256, origin.adapters, purpose === "use" ? readPeft : readLora);
    const top = adapters.at(-1);
    const keeps = last === "keep" && top !== undefined && beyondFactors(base.model, top).length === 0;
    const lora = keeps ? adapters.pop() : undefined;
    for (const adapter of adapters) base = await mergeAdapter(base, adapter);
    return { origin, base, lora };
  }
}

const standsAlone = (where: string, below: readonly AdapterLink[]) =>
  new BoosterError("OPTIONS_CONFLICT", "this adapter stands on the base model alone, and holds all that its run made", {
    expected: "no adapter below it",
    found: below.map(({ folder }) => folder).join(", "),
    where,
    hint: "Give the run's folder as --model, without other adapters.",
  });

/** Hashes of a model and the adapters on it, by role. */
export const hashesOf = ({ sha256, adapters }: Origin): Record<string, string> => ({
  model: sha256,
  ...Object.fromEntries(adapters.map((link, i) => [`adapter ${i + 1}`, link.sha256])),
});

/** @throws {BoosterError} `MODEL_CHANGED` */
export async function checkHash({ folder, sha256 }: AdapterLink, is?: string): Promise<void> {
  const found = is ?? (existsSync(folder) ? await modelIdentity(folder) : "nothing");
  if (found === sha256) return;
  throw new BoosterError("MODEL_CHANGED", "this is not what the run was made with", {
    expected: `SHA-256 ${sha256}`,
    found,
    where: folder,
    hint: "Bring it back, or give the base model and the run's adapter/, which holds the sum of all adapters.",
  });
}

function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
