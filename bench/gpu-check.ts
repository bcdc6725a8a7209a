/**
 * One whole step of Booster on a GPU and on the CPU: the same loss, the same gradient, the same LoRA weights after it? Prints one line of JSON.
 *
 *     node dist/bench/gpu-check.js '{"layers": 2}'     a shape of the dense workload
 *     node dist/bench/gpu-check.js probe               only whether there is a device
 */
import { choose } from "../src/choice.ts";
import { METHODS } from "../src/methods/registry.ts";
import { freshLora, loraScale } from "../src/models/load.ts";
import { adamW } from "../src/optim/index.ts";
import { Device } from "../src/runtime/index.ts";
import { tensor } from "../src/tensor/tensor.ts";
import { TrainingProgram } from "../src/train/training-program.ts";
import { DENSE, denseWorkload, LORA, type StepRows, uploaded } from "./workloads.ts";

const [what = "probe"] = process.argv.slice(2);
const gpu = new Device({ provider: "webgpu" });

/** Metrics of a step, the trained weights before it, and what it has made of them and of the optimiser's mean of gradients. */
async function stepOn(device: Device, given: object) {
  const shape = { ...DENSE, ...given };
  const workload = denseWorkload(shape);
  const lora = { ...LORA, r: shape.rank };
  const program = await TrainingProgram.compile({
    device,
    model: workload.model,
    frozen: await uploaded(workload, device),
    adapter: { scale: loraScale(lora), tensors: freshLora(workload.model, lora, 3) },
    method: choose(METHODS, { name: "booster" }),
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    chunks: 4,
  });
  const state = async (name: string) => (await program.save()).get(name)?.data as Float32Array;
  const before = await state("weights");
  const { alignment, harmful } = workload.batches[0] as StepRows;
  const metrics = await program.step({ alignment: [alignment], harmful: [harmful] }, 5e-4);
  return { before, metrics, after: { weights: await state("weights"), firstMoment: await state("firstMoment") } };
}

const difference = (a: Float32Array, b: Float32Array): Float32Array => a.map((x, i) => x - (b[i] as number));
const norm = (x: Float32Array): number => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
/** NaN where one of them is none. */
const largest = (x: Float32Array): number => x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

async function compared() {
  const shape = JSON.parse(what);
  const [expected, found] = [await stepOn(new Device(), shape), await stepOn(gpu, shape)];
  const off = (of: (step: typeof expected) => Float32Array) => difference(of(found), of(expected));
  const change = ({ before, after }: typeof expected) => difference(after.weights, before);
  const gradient = ({ after }: typeof expected) => after.firstMoment;
  return {
    loss: Math.abs((found.metrics.loss as number) / (expected.metrics.loss as number) - 1),
    // After one step a tenth of it.
    gradient: largest(off(gradient)) / largest(gradient(expected)),
    change: norm(off(change)) / norm(change(expected)),
    largest: largest(off(change)),
    moved: largest(change(expected)),
  };
}

async function probed() {
  const type = { dtype: "float32", shape: [2] } as const;
  const program = await gpu.compile({ x: type }, ({ x }) => ({ x }));
  await program.run({ x: await gpu.upload(tensor("float32", [2], [1, 2])) });
  return {};
}

console.log(JSON.stringify(what === "probe" ? await probed() : await compared()));
// The threads of a software driver would keep the process alive.
process.exit(0);
