import { z } from "zod";
import { ops, type Tensor } from "../../../autodiff/index.ts";
import { BoosterError } from "../../../errors.ts";
import { type Example, type Model, moduleOf } from "../../../models/index.ts";
import { gram, observer, type Sums } from "../../../models/observe.ts";
import { readWeights } from "../../../models/storages.ts";
import { type Matrix, multiply } from "../../../tensor/matrix.ts";
import { RandomStream } from "../../../tensor/random.ts";
import type { HostTensor } from "../../../tensor/tensor.ts";
import type { Preparation } from "../../method.ts";
import { initialFactors, project, topDirections } from "./projection.ts";

const count = (value: number) => z.int().positive().default(value);

/** Options of `salora`. */
export const options = z.strictObject({
  safetyRank: z
    .int()
    .min(0)
    .default(32)
    .describe(
      "directions of each layer's output that safe answers occupy and training may not touch (the paper's r_s)",
    ),
  taskRank: count(32).describe("directions of each layer's output that the factors begin in (the paper's r_t)"),
  calibrationRows: count(128).describe("rows of each kind from which the directions are measured"),
  referenceTaskPass: z
    .boolean()
    .default(false)
    .describe(
      "measure a layer's task directions on a model whose lower layers lack their factors, as the authors' code does",
    ),
});

/** What a linear layer begins with. */
export interface Start {
  /** V_s `[r_s, out]` */
  readonly safety: Matrix;
  /** A0 `[rank, in]`, B0 `[out, rank]` */
  readonly A: Matrix;
  readonly B: Matrix;
}

type Weights = ReadonlyMap<string, HostTensor<"float32">>;

/** Linear layers that carry factors, with their rank. @throws {BoosterError} `OPTIONS_CONFLICT` when a factor B is not zero */
function targetsOf(trainable: Weights): ReadonlyMap<string, number> {
  const targets = new Map<string, number>();
  for (const [name, { shape, data }] of trainable) {
    const module = moduleOf(name);
    if (name.endsWith(".lora_A.weight")) targets.set(module, shape[0] as number);
    else if (data.some((x) => x !== 0)) {
      throw new BoosterError("OPTIONS_CONFLICT", "salora begins with factors of its own, not with a trained adapter", {
        where: module,
        hint: "Merge the adapter: adapterPolicy merge-and-fresh.",
      });
    }
  }
  return targets;
}

/**
 * The start of every target layer: safety directions from the features of safe answers, factors from those of the task.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT` also when there are as many safety directions as a layer has outputs, and what `observer` throws
 */
export async function calibrate(
  preparation: Preparation,
  chosen: z.infer<typeof options>,
): Promise<Map<string, Start>> {
  const { device, model, frozen, rows, seed, watch } = preparation;
  const targets = targetsOf(preparation.adapter.tensors);
  const names = [...targets.keys()].map((module) => `${module}.weight`);
  const weights = await readWeights(device, frozen, names);
  const seen = await observer(
    { ...preparation, weights: frozen },
    { scale: 1, tensors: weights },
    {
      tokens: "answer",
      reduce: (linear, x, params) =>
        targets.has(linear)
          ? { [linear]: gram(ops.matmul(x, params[`${linear}.weight`] as Tensor, { transB: true })) }
          : {},
    },
  );
  const sample = (stream: string): Example[] => {
    const all = rows[stream] ?? [];
    const order = new RandomStream(seed, `salora/${stream}`).permutation(all.length);
    return Array.from(order.subarray(0, chosen.calibrationRows), (row) => all[row] as Example);
  };
  const safety = await seen.sum(weights, sample("alignment"), watch);
  const taskRows = sample("user");
  const starts = new Map<string, Start>();
  let task: Sums | undefined;
  for (const layer of byLayer(model, targets.keys())) {
    if (task === undefined || chosen.referenceTaskPass) task = await seen.sum(weights, taskRows, watch);
    for (const module of layer) {
      const directions = (sums: Sums, count: number) => topDirections(sums.get(module) as HostTensor<"float64">, count);
      const V = directions(safety, chosen.safetyRank);
      const [found, outputs = 0] = V.shape;
      if (found === outputs) throw nothingLeft(module, outputs, chosen.safetyRank);
      const W = weights.get(`${module}.weight`) as HostTensor<"float32">;
      const factors = initialFactors(W, directions(task, chosen.taskRank), targets.get(module) as number);
      starts.set(module, { safety: V, ...factors });
      if (chosen.referenceTaskPass) weights.set(`${module}.weight`, residual(W, factors, V));
    }
  }
  return starts;
}

const nothingLeft = (module: string, outputs: number, safetyRank: number): BoosterError =>
  new BoosterError("OPTIONS_CONFLICT", "the safety directions leave a layer nothing to train", {
    expected: `safetyRank below ${outputs}, the layer's number of outputs`,
    found: String(safetyRank),
    where: module,
  });

/** Target modules of one block after the other, in the order of the model. */
function byLayer({ modules }: Model, targets: Iterable<string>): string[][] {
  const blocks = new Map<number | undefined, string[]>();
  for (const target of targets) {
    const layer = modules.get(target)?.layer;
    blocks.set(layer, [...(blocks.get(layer) ?? []), target]);
  }
  return [...blocks.values()];
}

/** `W - C B0 A0` */
function residual(W: HostTensor<"float32">, { A, B }: Pick<Start, "A" | "B">, safety: Matrix): HostTensor<"float32"> {
  const change = multiply(project(safety, B), A).data;
  return { ...W, data: W.data.map((w, i) => w - (change[i] as number)) };
}
