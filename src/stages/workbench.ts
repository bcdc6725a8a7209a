import type { Adapter } from "../formats/peft.ts";
import { type LoadedModel, loadModel, mergeAdapter, modelIdentity, readLora } from "../models/load.ts";
import { Device } from "../runtime/index.ts";
import type { Following } from "../train/index.ts";
import type { DeviceChoice, ProfileChoice } from "./options.ts";

/** What a stage is followed and stopped by, and works with. */
export interface Context extends Following {
  /** Device, models and programs to share with other calls; by default each call opens its own. */
  readonly bench?: Workbench;
}

/** A model to start from: weights, and the adapter on top of them that is not merged. */
export interface StartingPoint {
  readonly base: LoadedModel;
  readonly lora: Adapter | undefined;
}

/** Models that stay loaded: the one that runs start from, and the one at hand. */
const KEPT_MODELS = 2;

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

  constructor({ provider, threads, profile }: DeviceChoice & ProfileChoice) {
    this.device = new Device({
      provider,
      ...(threads === undefined ? {} : { threads }),
      ...(profile === undefined ? {} : { profilePrefix: profile }),
    });
  }

  /** A model by path; the last two that were asked for stay loaded. Throws what `loadModel` throws. */
  model(path: string): Promise<LoadedModel> {
    const model = remember(this.models, path, () => loadModel(path, this.device));
    this.models.delete(path);
    this.models.set(path, model);
    for (const old of [...this.models.keys()].slice(0, -KEPT_MODELS)) this.models.delete(old);
    return model;
  }

  /** Hashes of a model and the adapters on it, by role. Adapters are read anew each time: they may have been trained since. */
  async hashes(path: string, adapters: readonly string[]): Promise<Record<string, string>> {
    const hashes: Record<string, string> = {
      model: await remember(this.identities, path, () => modelIdentity(path)),
    };
    for (const [i, folder] of adapters.entries()) hashes[`adapter ${i + 1}`] = await modelIdentity(folder);
    return hashes;
  }

  /**
   * A model with adapters: all merged, or all but the last one, which is left on top.
   *
   * @throws {BoosterError} what `readLora` and `loadModel` throw
   */
  async start(path: string, adapters: readonly string[], last: "merge" | "keep"): Promise<StartingPoint> {
    let base = await this.model(path);
    for (const [i, folder] of adapters.entries()) {
      const adapter = readLora(base, folder);
      if (last === "keep" && i === adapters.length - 1) return { base, lora: adapter };
      base = await mergeAdapter(base, adapter);
    }
    return { base, lora: undefined };
  }
}

function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
