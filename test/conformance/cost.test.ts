/** A step costs no more than its passes, in the arithmetic that ONNX Runtime records: what passes can share, they share. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { choose, rowOf } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Example } from "../../src/models/index.ts";
import { freshLora } from "../../src/models/load.ts";
import { adamW } from "../../src/optim/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { randomTensors, tinyModel } from "./tiny-model.ts";

/** Wide enough for the blocks to outweigh adapters and head. */
const model = tinyModel({ hidden_size: 96, intermediate_size: 256, num_hidden_layers: 4, vocab_size: 128 });
const LORA = { r: 4, alpha: 4, targetModules: ["q_proj", "k_proj", "v_proj"], useRslora: false };
const ROWS = 8;
/** Every token is labelled and no row is shorter: padding and unlabelled tokens are not what is measured. */
const rows = Array.from({ length: ROWS }, (_, row): Example => {
  const inputIds = Array.from({ length: 40 }, (_, t) => (7 * t + 13 * row) % 128);
  return { inputIds, labels: inputIds };
});
/** Over what the passes cost, and under it: passes begin with layers in common, and end before the embedding. */
const [MOST, LEAST] = [1.1, 0.9];
/** Methods with passes on fewer rows, or without the gradients of some weights. */
const CHEAPER: readonly string[] = ["vlguard", "safety-layers", "surgery"];

/** Settings in which the first call of a run is that of `step`. */
const SETTINGS: Readonly<Record<string, object>> = {
  lisa: { alignmentSteps: 0 },
  safeinstr: { safetyRatio: 1 },
  fedit: { clients: 1, perRound: 1 },
};
/** Methods whose passes are counted over several programs, of which `step` is one. */
const SEVERAL: Readonly<Record<string, { readonly forward: number; readonly backward: number }>> = {
  tar: { forward: 2, backward: 1 },
  seal: { forward: 1, backward: 1 },
};

/** Arithmetic of one call of a method's `step`. */
async function arithmeticOf(name: string, options: object, full: boolean): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "booster-cost-"));
  try {
    const device = new Device({ threads: 1, profilePrefix: join(folder, "trace") });
    const method = choose(METHODS, { name, ...options });
    const weights = Object.entries(randomTensors(model.weights, "float32"));
    const counts = Object.fromEntries(method.streams.map((stream) => [stream, ROWS]));
    const { facts } = planRun({ model, method, rows: counts, batchSize: ROWS, seed: 5, steps: 4, epochs: 1 });
    const program = await TrainingProgram.compile({
      device,
      model,
      frozen: await device.uploadAll(weights),
      adapter: { scale: 1, tensors: full ? new Map(weights) : freshLora(model, LORA, 1) },
      method,
      optimizer: adamW({ weightDecay: 0 }),
      maxGradNorm: 1,
      chunks: 1,
      rows: counts,
    });
    const step = facts.steps + method.schedule.extraSteps(facts) - 1;
    const call = method.schedule.calls(name in SEVERAL ? step : 0, facts).at(-1);
    const drawn = (stream: string) =>
      Array.from(call?.rows?.[stream] ?? facts.batch(stream, 0), (row) => rows[row] as Example);
    const batches = Object.fromEntries(method.streams.map((stream) => [stream, drawn(stream)]));
    const whole = Object.fromEntries(Object.entries(batches).map(([stream, batch]) => [stream, [batch]]));
    await program.run({ batches: whole, learningRate: 1e-3, inputs: call?.inputs?.(batches) ?? {} });
    return program.profile().ops.reduce((sum, { flops }) => sum + flops, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const CASES: readonly (readonly [name: string, options: object])[] = [
  ...METHODS.rows.map(({ name }) => [name, SETTINGS[name] ?? {}] as const),
  ["booster", { through: "exact" }],
  ["ldifs", { variant: "disl" }],
  ["kl", { softmax: "time" }],
  ["repnoise", { mode: "reference" }],
];

const sft = { lora: arithmeticOf("sft", {}, false), full: arithmeticOf("sft", {}, true) };

test.each(CASES)("%s %o", async (name, options) => {
  const { forward, backward } = SEVERAL[name] ?? choose(METHODS, { name, ...options }).passes;
  const full = rowOf(METHODS, name).trains === "full";
  const passes = (await arithmeticOf(name, options, full)) / (await (full ? sft.full : sft.lora));
  expect(passes).toBeLessThan((MOST * (forward + backward)) / 2);
  if (!full && !CHEAPER.includes(name)) expect(passes).toBeGreaterThan((LEAST * (forward + backward)) / 2);
});
