import { z } from "zod";
import { ops, type Tensor, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { BoosterError } from "../../../errors.ts";
import {
  type Example,
  IGNORE,
  labelledStates,
  type Model,
  moduleOf,
  packRows,
  rowsOf,
  rowTypes,
  type Weights,
  weightsOf,
} from "../../../models/index.ts";
import { typesOf } from "../../../runtime/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { method, type Preparation } from "../../method.ts";
import { memories } from "../../state.ts";
import { type Labelled, scoreOf, trainProxy } from "./proxy.ts";
import { robustModules } from "./search.ts";

const count = z.int().positive();
const options = z.strictObject({
  ratio: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("learning rate of fragile modules as a share of the run's, which robust ones have"),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe("share of the proxy's accuracy that must be left while all robust modules are perturbed"),
  perturbation: z
    .number()
    .min(0)
    .default(0)
    .describe("what a perturbed module's output is multiplied by; 0 takes it away"),
  skip: z
    .boolean()
    .default(false)
    .describe("leave out a module that costs too much and try the next ones, where the search otherwise ends"),
  trainPrompts: count.default(200).describe("prompts of each kind that the proxy learns from"),
  testPrompts: count.default(100).describe("prompts of each kind that it is judged by"),
  leastAccuracy: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe("accuracy of the proxy below which nothing is searched, since it tells nothing"),
});
type MlLrOptions = z.infer<typeof options>;

/** Prompts whose states are computed at once. */
const BATCH = 16;

/** Linear layers of the blocks. */
const modulesOf = (model: Model): string[] =>
  [...model.linears.keys()].filter((module) => model.modules.get(module)?.layer !== undefined);

/**
 * ML-LR: modules that a proxy of safety does not depend on learn at the run's rate, all other weights at a small part of it.
 *
 *     h(x)   hidden state of a prompt's last token;  proxy: logistic regression of malicious against benign prompts on h
 *     robust: modules that can be perturbed together while the proxy still tells unseen prompts (`robustModules`)
 *     w <- w + r_m (step of the optimiser),  r_m = 1 for robust modules, `ratio` for all other weights
 *
 * The stages are the paper's; every number and detail is our reconstruction, since no code was published. `ratio` 1 is SFT, 0 freezes.
 * One forward and one backward pass; before the first step a forward pass over the test prompts for each module, and for each robust one.
 * Source: Du et al., arXiv 2410.04524; docs/methods/ml-lr.md tells what is reconstructed.
 *
 * @throws {BoosterError} `PROXY_UNFIT`, `DATA_TOO_FEW_ROWS`
 */
export const mlLr = method({
  name: "ml-lr",
  label: "ML-LR",
  stage: "finetune",
  streams: ["user", "harmful", "general"],
  options,
  limit: { ratio: 1, leastAccuracy: 0, trainPrompts: 4, testPrompts: 3 },
  trial: { leastAccuracy: 0, trainPrompts: 4, testPrompts: 3 },
  tried: [0.1, 0.01, 0.03, 0].map((ratio) => ({ ratio, trainPrompts: 100, testPrompts: 50 })),
  state: { rate: memories(({ model }) => Object.fromEntries(modulesOf(model).map((module) => [module, []])), 1) },
  create: (chosen) => ({
    passes: { forward: 1, backward: 1 },
    async prepare(preparation) {
      const { model } = preparation;
      const robust = new Set(await search(preparation, chosen));
      const rate = modulesOf(model).map((module) => [
        module,
        tensor("float32", [], [robust.has(module) ? 1 : chosen.ratio]),
      ]);
      return { state: { rate: Object.fromEntries(rate) } };
    },
    step({ weights, loss, state: { rate } }) {
      const { value, grad } = valueAndGrad((w) => loss(w, "user"))(weights);
      const rates = tree.mapTree(weights, (_, name) => rate[moduleOf(name)] ?? ops.constant(chosen.ratio));
      const all = Object.values(rate);
      const fast = all.reduce(
        (sum, x) => ops.add(sum, ops.where(ops.equal(x, 1), ops.constant(1), 0)),
        ops.constant(0),
      );
      return {
        gradient: grad,
        ...(chosen.ratio < 1 && { rates }),
        metrics: { loss: value, robustShare: ops.div(fast, all.length) },
      };
    },
  }),
});

/** The prompt of an example: what stands before its first trained token. */
function promptOf({ inputIds, labels }: Example): number[] {
  const first = Array.from(labels).findIndex((label, t) => t > 0 && label !== IGNORE);
  return Array.from(inputIds).slice(0, Math.max(1, first));
}

/** @throws {BoosterError} `DATA_TOO_FEW_ROWS` */
function promptsOf({ rows, seed }: Preparation, stream: string, { trainPrompts, testPrompts }: MlLrOptions) {
  const all = rows[stream] ?? [];
  const wanted = trainPrompts + testPrompts;
  if (all.length < wanted) {
    throw new BoosterError("DATA_TOO_FEW_ROWS", "the proxy of ml-lr needs more prompts", {
      expected: `${wanted} (trainPrompts + testPrompts)`,
      found: String(all.length),
      where: stream,
    });
  }
  const order = new RandomStream(seed, `ml-lr/${stream}`).permutation(all.length).subarray(0, wanted);
  const prompts = Array.from(order, (row) => promptOf(all[row] as Example));
  return { train: prompts.slice(0, trainPrompts), test: prompts.slice(trainPrompts) };
}

/** The modules that may learn fast. */
async function search(preparation: Preparation, chosen: MlLrOptions): Promise<string[]> {
  const { model, watch } = preparation;
  const modules = modulesOf(model);
  const statesOf = await lastStates(preparation, modules);
  const [malicious, benign] = ["harmful", "general"].map((stream) => promptsOf(preparation, stream, chosen));
  const labelled = async (part: "train" | "test", factors: readonly number[]): Promise<Labelled[]> => {
    const [bad, good] = [malicious?.[part] ?? [], benign?.[part] ?? []];
    const states = await statesOf([...bad, ...good], factors);
    return states.map((point, i) => ({ point, positive: i < bad.length }));
  };
  const whole = modules.map(() => 1);
  const proxy = trainProxy(await labelled("train", whole));
  const { accuracy } = scoreOf(proxy, await labelled("test", whole));
  if (accuracy < chosen.leastAccuracy) {
    throw new BoosterError("PROXY_UNFIT", "the model's states do not tell malicious prompts from benign ones", {
      expected: `a balanced accuracy of at least ${chosen.leastAccuracy} on unseen prompts`,
      found: accuracy.toFixed(3),
      hint: "Is the model aligned, and are these its template and prompts?",
    });
  }
  let done = 0;
  return robustModules({
    modules,
    ...chosen,
    async score(perturbed) {
      watch("looking for robust modules", Math.min(done++, 2 * modules.length), 2 * modules.length + 1);
      const factors = modules.map((module) => (perturbed.includes(module) ? chosen.perturbation : 1));
      return scoreOf(proxy, await labelled("test", factors));
    },
  });
}

/** Hidden states of the last tokens of prompts, the output of each module multiplied by its factor. */
async function lastStates({ device, model, frozen, adapter }: Preparation, modules: readonly string[]) {
  const tensors = Object.fromEntries(adapter.tensors);
  const program = await device.compile(
    {
      base: typesOf(frozen),
      adapter: typesOf(tensors),
      rows: rowTypes("prompts"),
      factors: { dtype: "float32" as const, shape: [modules.length] },
    },
    (given) => {
      const params = weightsOf(model, given.base, { scale: adapter.scale, tensors: given.adapter });
      const states = labelledStates(model, perturbed(params, modules, given.factors), rowsOf(given.rows));
      return { states };
    },
  );
  return async (prompts: readonly number[][], factors: readonly number[]): Promise<Float32Array[]> => {
    const found: Float32Array[] = [];
    for (let first = 0; first < prompts.length; first += BATCH) {
      const rows = packRows(prompts.slice(first, first + BATCH).map((ids) => ({ ids, asked: [ids.length - 1] })));
      const given = { base: frozen, adapter: tensors, rows, factors: tensor("float32", [modules.length], factors) };
      const { states } = await program.run(given);
      const width = states.shape[1] as number;
      for (let at = 0; at < states.data.length; at += width) {
        found.push(Float32Array.from((states.data as Float32Array).subarray(at, at + width)));
      }
    }
    return found;
  };
}

/** The weights with the outputs of modules scaled: a matrix scaled, and its bias with it. */
function perturbed(params: Weights, modules: readonly string[], factors: Tensor): Weights {
  const places = new Map(modules.map((module, i) => [module, i]));
  return {
    ...params,
    linear(module, x) {
      const y = params.linear(module, x);
      const place = places.get(module);
      return place === undefined ? y : ops.mul(y, ops.slice(factors, 0, place, place + 1));
    },
  };
}
