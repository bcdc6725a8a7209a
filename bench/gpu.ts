import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type MethodName, OursResult, workloadArgs } from "./contenders.ts";
import { type GenerationRequest, GenerationResult } from "./generation.ts";
import { nvidia, onGpu, Tries, whyNoDevice } from "./gpu-tries.ts";
import { cudaPython, runOnCuda } from "./peers/peers.ts";
import { figure, mean, median, NOTHING, type Section, type Target } from "./report.ts";
import { ROW_BATCHES, type SharedFiles, writeRows } from "./rows.ts";
import { DENSE, type Shape } from "./workloads.ts";

interface Options {
  readonly quick: boolean;
  readonly scratch: string;
  readonly progress: (text: string) => void;
  files(what: string): SharedFiles | undefined;
}

/** The whole run ends within this; what does not fit is left out by name. */
const SECONDS = 470;

/** Small enough for a Vulkan that computes on the CPU. */
const TINY: Partial<Shape> = { rows: 2, length: 16, layers: 1, hidden: 48, vocabulary: 64, rank: 4 };
/** A Llama of 1.0 billion weights. */
const BILLION: Partial<Shape> = { rows: 4, hidden: 2016, layers: 18 };
/** What a step of it takes at most on a device, by estimate: weights in float32, and activations of a thousand tokens. */
const BILLION_MIB = 12_000;

/** Who else trains, in what, and how that is asked for. */
const PEERS = [
  ["PyTorch", "float32", "dense.py", "--mode", "eager"],
  ["PyTorch", "bfloat16", "dense.py", "--mode", "bf16"],
  ["transformers + PEFT", "float32", "hf.py"],
] as const;

const Check = z.object({
  loss: z.number(),
  gradient: z.number(),
  change: z.number(),
  largest: z.number(),
  moved: z.number().positive(),
});

interface Step {
  readonly shape: string;
  readonly method: MethodName;
  readonly who: string;
  readonly base: string;
  readonly seconds: number;
  /** Told by ours; the same stands for whoever trains the same rows. */
  readonly flops?: number;
}

type Shapes = Readonly<Record<string, Partial<Shape>>>;

/**
 * Training and generation on a GPU through WebGPU: whether it computes what the CPU computes, how fast, and beside PyTorch where the machine
 * has it. Everything runs in a process of its own, and what fails costs its row.
 */
export async function gpu(options: Options): Promise<Section | undefined> {
  const { quick, progress } = options;
  const missing = await whyNoDevice();
  if (missing !== undefined) {
    progress(`skipped gpu: no WebGPU device; ${missing}`);
    return undefined;
  }
  const tries = new Tries(SECONDS, progress);
  const card = nvidia();
  tries.notes.push(`Device: ${card?.name ?? "none of NVIDIA's; whatever Vulkan offers, which may be software"}.`);
  const fits = card === undefined || card.freeMib >= BILLION_MIB;
  if (!quick && !fits) tries.skip("1b", `it takes ${BILLION_MIB} MiB, and ${card.freeMib} are free`);
  const shapes: Shapes = quick ? { tiny: TINY } : { dense: {}, ...(fits && { "1b": BILLION }) };
  const methods: readonly MethodName[] = quick ? ["booster"] : ["sft", "booster"];
  const steps = quick ? 2 : 10;

  const check = await tries.attempt("a step of Booster beside the CPU's", (seconds) =>
    onGpu(Check, seconds, "gpu-check.js", JSON.stringify(Object.values(shapes)[0])),
  );
  const own: Step[] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    own.push(...(await train(tries, name, ["--workload", "dense", "--shape", JSON.stringify(shape)], methods, steps)));
  }
  const written = await generate(tries, shapes, options);
  const others = quick ? [] : await peers(tries, shapes, steps);
  if (!quick) own.push(...(await rows(tries, options, methods, steps)));
  const measured = [...own, ...others];
  return {
    title: "On a GPU, through WebGPU",
    tables: [
      {
        title: "One optimiser step",
        header: ["shape", "method", "who", "base weights", "s", "GFLOP/s"],
        rows: measured.map(({ shape, method, who, base, seconds }) => {
          const flops = own.find((step) => step.shape === shape && step.method === method)?.flops;
          const speed = flops === undefined ? NOTHING : figure(flops / seconds / 1e9);
          return [shape, method, who, base, figure(seconds), speed];
        }),
      },
      {
        title: "New tokens a second",
        header: ["shape", "batch", "tokens/s"],
        rows: written.map(({ shape, batch, tokensPerSecond }) => [shape, String(batch), figure(tokensPerSecond)]),
      },
    ],
    targets: check === undefined ? [] : targetsOf(check),
    notes: [...(check === undefined ? [] : [largestOf(check)]), ...tries.notes],
    data: { check, steps: measured, generation: written },
  };
}

/** @param input the workload, as `ours.ts` takes it */
async function train(
  tries: Tries,
  shape: string,
  input: readonly string[],
  methods: readonly MethodName[],
  steps: number,
  batches = 1,
) {
  const found: Step[] = [];
  for (const base of ["float32", "float16"]) {
    for (const method of methods) {
      const how = ["--method", method, "--base", base, "--steps", String(steps), "--warmup", String(1 + batches)];
      const result = await tries.attempt(`${method} of ${shape}, base weights in ${base}`, (seconds) =>
        onGpu(OursResult, seconds, "ours.js", ...input, ...how, "--provider", "webgpu"),
      );
      if (result === undefined) continue;
      const { stepSeconds, batchFlops } = result;
      const each = batchFlops.map((_, batch) => median(stepSeconds.filter((_, i) => i % batches === batch)));
      found.push({ shape, method, who: "ours", base, seconds: mean(each), flops: mean(batchFlops) });
    }
  }
  return found;
}

/** SmolLM2 on alignment rows, where they are at hand. */
async function rows(
  tries: Tries,
  { files, scratch }: Options,
  methods: readonly MethodName[],
  steps: number,
): Promise<Step[]> {
  const shared = files("the real rows of gpu");
  if (shared === undefined) {
    tries.skip("rows", "their model and data are not here");
    return [];
  }
  const input = { model: shared.model, batches: join(scratch, "gpu-rows.json") };
  await writeRows(shared, "alignment", input.batches);
  return train(tries, "rows", workloadArgs(input), methods, steps, ROW_BATCHES);
}

async function generate(
  tries: Tries,
  shapes: Shapes,
  { quick, scratch }: Options,
): Promise<readonly { shape: string; batch: number; tokensPerSecond: number }[]> {
  const newTokens = quick ? 4 : 64;
  const written = [];
  for (const [name, shape] of Object.entries(shapes)) {
    const { vocabulary } = { ...DENSE, ...shape };
    for (const batch of [1, 16]) {
      const prompts = Array.from({ length: batch }, (_, row) =>
        Array.from({ length: 32 }, (_, i) => (7 * row + 3 * i + 1) % vocabulary),
      );
      const request = join(scratch, `gpu-${name}-${batch}.json`);
      writeFileSync(request, JSON.stringify({ prompts, newTokens, runs: quick ? 1 : 3 } satisfies GenerationRequest));
      const result = await tries.attempt(`generation of ${name}, ${batch} at once`, (seconds) =>
        onGpu(GenerationResult, seconds, "ours-generation.js", JSON.stringify(shape), request, "float32", "webgpu"),
      );
      if (result === undefined) continue;
      written.push({ shape: name, batch, tokensPerSecond: (batch * newTokens) / median(result.seconds) });
    }
  }
  return written;
}

async function peers(tries: Tries, shapes: Shapes, steps: number): Promise<Step[]> {
  const python = cudaPython();
  if (python === undefined) {
    tries.skip("PyTorch and PEFT", "no Python here has a PyTorch with CUDA");
    return [];
  }
  const found: Step[] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    for (const [who, base, script, ...more] of PEERS) {
      const args = ["--shape", JSON.stringify(shape), "--steps", String(steps), ...more];
      const result = await tries.attempt(`sft of ${name}, ${who}, ${base}`, (seconds) =>
        runOnCuda(python, script, args, seconds),
      );
      if (result !== undefined) {
        found.push({ shape: name, method: "sft", who, base, seconds: median(result.stepSeconds) });
      }
    }
  }
  return found;
}

function targetsOf({ loss, gradient, change }: z.infer<typeof Check>): Target[] {
  const off = (what: string, value: number, wanted: number): Target => {
    return { what: `${what}, off the CPU's`, value, sense: "at most", wanted, unit: "" };
  };
  return [
    off("loss of a Booster step, relative", loss, 1e-5),
    off("gradient, largest difference over the largest number", gradient, 1e-3),
    off("change of the LoRA weights, norm over norm", change, 1e-2),
  ];
}

// No target: AdamW divides a gradient by its own size, so where it is rounding alone the weight may go either way.
const largestOf = ({ largest, moved }: z.infer<typeof Check>): string =>
  `The LoRA weight that differs most from the CPU's does so by ${figure(largest)}; the largest move is ${figure(moved)}.`;
