import { createHash } from "node:crypto";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Model } from "../../src/models/index.ts";
import { adamW } from "../../src/optim/index.ts";
import type { Device, DeviceTensors } from "../../src/runtime/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { loraShapes, randomTensors } from "./tiny-model.ts";

export interface Training {
  readonly method?: string;
  readonly options?: object;
  readonly seed?: number;
  readonly recompute?: boolean;
}

/** A whole step for LoRA factors on a model with random weights: AdamW, clipping. */
export async function compileTraining(
  device: Device,
  model: Model,
  { method = "booster", options = {}, seed = 1, recompute = false }: Training = {},
): Promise<{ program: TrainingProgram; frozen: DeviceTensors }> {
  const frozen = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32", seed)));
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen,
    adapter: { scale: 0.5, tensors: new Map(Object.entries(randomTensors(loraShapes(model), "float32", seed + 1))) },
    method: choose(METHODS, { name: method, ...options }),
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    chunks: 2,
    recompute,
  });
  return { program, frozen };
}

/** The SHA-256 of names and bytes. */
export function hash(tensors: ReadonlyMap<string, HostTensor>): string {
  const digest = createHash("sha256");
  for (const [name, { data }] of tensors) {
    digest.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return digest.digest("hex");
}
