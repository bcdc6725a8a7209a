/** Runs the same training steps, and every operation, on the CPU and on WebGPU; prints what came out as JSON. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ops, type Sample, type Tensor, vjp } from "../../src/autodiff/index.ts";
import { createModel, type Model } from "../../src/models/index.ts";
import { Device, type OpProfile } from "../../src/runtime/index.ts";
import { drawFrom, sampleInputs } from "../conformance/draw.ts";
import { FAMILIES, type TinyFamily, VARIANTS } from "../conformance/tiny-families.ts";
import { compile, type HostTensors, numbers, randomRows, tinyModel } from "../conformance/tiny-model.ts";
import { compileTraining } from "../conformance/training.ts";

/** Name, inputs and largest deviation of an operation whose value or gradient differs. */
export interface Deviation {
  readonly op: string;
  readonly output: string;
  readonly shapes: string;
  readonly error: number;
}

export interface StepReport {
  readonly cases: number;
  readonly deviations: readonly Deviation[];
  /** The same of one step for each shape of attention. */
  readonly attentions: readonly (Pick<StepReport, "weights" | "metrics" | "moved"> & { readonly name: string })[];
  /** Largest differences after the steps: of a weight, and of a metric relative to itself. */
  readonly weights: number;
  readonly metrics: number;
  /** How far the steps moved the weights, at most. */
  readonly moved: number;
  /** Kernel calls of all steps by operator and provider, with the bytes that they wrote. */
  readonly kernels: readonly Pick<OpProfile, "op" | "provider" | "calls" | "outputBytes">[];
}

const STEPS = 3;
const TOLERANCE = 1e-4;

const largest = (a: readonly number[], b: readonly number[]) =>
  a.reduce((worst, value, i) => {
    const difference = Math.abs(value - (b[i] as number));
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
  }, 0);

/** Value and gradients of one case. */
function outputsOf(op: (typeof ops.OPS)[number], sample: Sample<unknown>, args: readonly Tensor[]) {
  const y = op.rebuild(args, sample.attrs);
  const outputs: Record<string, Tensor> = { y };
  if (!op.differentiable || y.dtype !== "float32") return outputs;
  const floats = args.filter(({ dtype }) => dtype === "float32");
  vjp(y, ops.add(ops.mul(y, 0.3), 1), floats).forEach((g, i) => {
    outputs[`gradient ${i}`] = g;
  });
  return outputs;
}

async function compareOperations(cpu: Device, gpu: Device) {
  const deviations: Deviation[] = [];
  let cases = 0;
  for (const op of ops.OPS) {
    const draw = drawFrom(`${op.name} webgpu`);
    for (const sample of op.samples(draw)) {
      // WebGPU has no float64.
      if ((sample.attrs as { dtype?: string } | null)?.dtype === "float64") continue;
      cases++;
      const inputs = sampleInputs(draw, sample, "float32");
      const feeds: HostTensors = Object.fromEntries(inputs.map((value, i) => [`x${i}`, value]));
      const run = async (device: Device) => {
        const build = (args: Readonly<Record<string, Tensor>>) =>
          outputsOf(
            op,
            sample,
            inputs.map((_, i) => args[`x${i}`] as Tensor),
          );
        return (await compile(device, feeds, build)).run(feeds);
      };
      const [expected, found] = [await run(cpu), await run(gpu)];
      for (const output of Object.keys(expected)) {
        const error = largest(numbers(expected, [output]), numbers(found, [output]));
        const shapes = inputs.map(({ shape }) => `[${shape.join(", ")}]`).join(" ");
        if (error > TOLERANCE) deviations.push({ op: op.name, output, shapes, error });
      }
    }
  }
  return { cases, deviations };
}

async function train(device: Device, model: Model, steps: number, recompute = false) {
  const { program } = await compileTraining(device, model, { recompute });
  const before = numbers(Object.fromEntries(await program.trained()));
  const log: number[] = [];
  for (let i = 0; i < steps; i++) {
    const alignment = [randomRows(model, [5, 9, 7], 10 + i)];
    const harmful = [randomRows(model, [6, 2, 11], 20 + i)];
    log.push(...Object.values(await program.step({ alignment, harmful }, 1e-3)));
  }
  const after = numbers(Object.fromEntries(await program.trained()));
  return { before, after, log, program };
}

/** One family of each shape of attention: windows, norms of heads, layers that do not turn, fused and partly turned, soft caps, no rotation. */
const ATTENTIONS = [
  "mistral, window",
  "qwen3",
  "olmo2",
  "smollm3, layers",
  "phi3, a part",
  "gemma2",
  "gpt2",
  "gpt_neox",
];

/** Those that are also computed block by block, with low memory. */
const AGAIN = ["llama", "gemma3"];

const largestRelative = (found: readonly number[], expected: readonly number[]) =>
  largest(
    found.map((value, i) => value / (expected[i] as number)),
    found.map(() => 1),
  );

async function compareAttentions(cpu: Device, gpu: Device): Promise<StepReport["attentions"]> {
  const reports = [];
  for (const wanted of [...ATTENTIONS, ...AGAIN]) {
    const { name, config } = [...FAMILIES, ...VARIANTS].find((family) => family.name.startsWith(wanted)) as TinyFamily;
    const model = createModel(config);
    const recompute = AGAIN.includes(wanted);
    const [expected, found] = [await train(cpu, model, 1), await train(gpu, model, 1, recompute)];
    reports.push({
      name: recompute ? `${name}, computed again` : name,
      weights: largest(found.after, expected.after),
      metrics: largestRelative(found.log, expected.log),
      moved: largest(expected.after, expected.before),
    });
  }
  return reports;
}

const folder = mkdtempSync(join(tmpdir(), "booster-webgpu-"));
const cpu = new Device({ threads: 2 });
const gpu = new Device({ provider: "webgpu" });
const { cases, deviations } = await compareOperations(cpu, gpu);
const attentions = await compareAttentions(cpu, gpu);
const model = tinyModel({ hidden_size: 32, intermediate_size: 48, vocab_size: 64 });
const expected = await train(cpu, model, STEPS);
const found = await train(new Device({ provider: "webgpu", profilePrefix: join(folder, "step") }), model, STEPS);
const report: StepReport = {
  cases,
  deviations,
  attentions,
  weights: largest(found.after, expected.after),
  metrics: largestRelative(found.log, expected.log),
  moved: largest(expected.after, expected.before),
  kernels: found.program
    .profile()
    .ops.map(({ op, provider, calls, outputBytes }) => ({ op, provider, calls, outputBytes })),
};
rmSync(folder, { recursive: true });
console.log(JSON.stringify(report));
// The software driver's threads would keep the process alive.
process.exit(0);
