import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { passFlops } from "../bench/flops.ts";
import { choose } from "../src/choice.ts";
import { METHODS } from "../src/methods/registry.ts";
import { createModel } from "../src/models/index.ts";
import { freshLora } from "../src/models/load.ts";
import { adamW } from "../src/optim/index.ts";
import { Device } from "../src/runtime/index.ts";
import { zeros } from "../src/tensor/tensor.ts";
import { TrainingProgram } from "../src/train/training-program.ts";

test("the benchmark's operation count is the arithmetic that ONNX Runtime records", async () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-flops-"));
  try {
    const model = createModel({
      model_type: "llama",
      hidden_size: 48,
      intermediate_size: 80,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: 200,
    });
    const device = new Device({ profilePrefix: join(folder, "trace") });
    const lora = { r: 8, alpha: 8, targetModules: ["q_proj", "k_proj", "v_proj"], useRslora: false };
    const program = await TrainingProgram.compile({
      device,
      model,
      frozen: await device.uploadAll([...model.weights].map(([name, shape]) => [name, zeros("float32", [...shape])])),
      adapter: { scale: 1, tensors: freshLora(model, lora, 1) },
      method: choose(METHODS, { name: "sft" }),
      optimizer: adamW({ weightDecay: 0 }),
      maxGradNorm: 1,
      chunks: 1,
    });
    // Every token but the last is followed by a labelled one, as in the dense workload.
    const ids = Array.from({ length: 40 }, (_, i) => i);
    const rows = [ids, ids, ids].map((inputIds) => ({ inputIds, labels: inputIds }));
    await program.step({ alignment: [rows] }, 1e-3);
    const recorded = program.profile().ops.reduce((sum, { flops }) => sum + flops, 0);
    const counted = passFlops(model, lora.r, lora.targetModules, rows);
    expect(Math.abs(counted / recorded - 1)).toBeLessThan(0.01);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
