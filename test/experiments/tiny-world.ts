import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import type { AlignOptions } from "../../src/stages/options.ts";
import { pretrain } from "../../src/stages/pretrain.ts";
import { writeWorldData } from "../../src/stages/world-files.ts";
import type { Event } from "../../src/train/index.ts";

/** A folder with a base model that has hardly been trained, and the world's data for seed 0: seconds to make. */
export interface TinyWorld {
  readonly folder: string;
  readonly model: string;
  /** Path of a data file. */
  data(name: string): string;
  remove(): void;
}

export async function makeTinyWorld(): Promise<TinyWorld> {
  const folder = mkdtempSync(join(tmpdir(), "booster-world-"));
  const model = join(folder, "model");
  await pretrain({ run: join(folder, "pretrain"), out: model, steps: 3 });
  writeWorldData(join(folder, "data"), [0]);
  return {
    folder,
    model,
    data: (name) => join(folder, "data", `${name}.jsonl`),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

/** Takes events: the labels of the pieces that were computed, or how each one ended. */
export const computed =
  (labels: string[]) =>
  (event: Event): void => {
    if (event.type === "piece" && event.state === "done") labels.push(event.piece);
  };
export const states =
  (seen: string[]) =>
  (event: Event): void => {
    if (event.type === "piece") seen.push(event.state);
  };

/** SHA-256 of what a training run publishes and records. */
export const bytesOf = (run: string): Record<string, string> =>
  Object.fromEntries(
    ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "metrics.jsonl", "run.json", "data.json"].map(
      (name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(run, name)))
          .digest("hex"),
      ],
    ),
  );

/** Alignment options that take a second. */
export const quickAlignment = (world: TinyWorld, method: z.input<typeof AlignOptions>["method"], steps = 6) => ({
  model: world.model,
  template: "chat" as const,
  method,
  alignment: world.data("alignment-0"),
  harmful: world.data("harmful-0"),
  steps,
  learningRate: 2e-3,
  loraRank: 4,
  loraAlpha: 4,
  checkpointEvery: 3,
  threads: 1,
});

/** Attack and evaluation of an experiment that take a second; `{seed}` in a data file's name is the cell's. */
export const quickCells = (world: TinyWorld, steps: number) => ({
  strengths: [{ learningRate: 1e-4 }, { learningRate: 1e-3 }],
  attack: {
    template: "chat" as const,
    task: world.data("reviews-{seed}"),
    harmful: world.data("attack-{seed}"),
    sampleNumber: 10,
    steps,
    loraRank: 4,
  },
  evaluate: {
    template: "chat" as const,
    harmful: { path: world.data("test-harmful"), limit: 2 },
    moderator: "world" as const,
    maxNewTokens: 2,
  },
});
