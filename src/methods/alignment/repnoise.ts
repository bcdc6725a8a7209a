import { z } from "zod";
import { ops, product, type Tensor, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { type PaddedBatch, paddedStates, type Weights } from "../../models/index.ts";
import { linearCrossEntropy } from "../../nn/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../../tensor/tensor.ts";
import { method, type StepContext, type StepDirection } from "../method.ts";
import { average } from "../sums.ts";
import { mmd } from "./mmd.ts";
import {
  answerTokens,
  differingTokens,
  gridOf,
  placeAll,
  placeAnswers,
  type Tokens,
  tokenInputs,
} from "./repnoise-tokens.ts";

const options = z.strictObject({
  alpha: z.number().min(0).default(1).describe("weight of the ascent of the harmful loss at every depth (α)"),
  beta: z.number().min(0).default(0.001).describe("weight of the distance between hidden states and noise (β)"),
  mode: z
    .enum(["paper", "reference"])
    .default("paper")
    .describe("answers only and the paper's ascent term, or the tokens and the term of the authors' code"),
  layerPrecision: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .describe(
      "bfloat16: round each layer's hidden states before the output head, as the authors' code (Llama, Qwen 2)",
    ),
});
type RepNoiseOptions = z.infer<typeof options>;
type Terms = StepDirection["metrics"];

/**
 * Representation noising: `minimise CE(R) + β N(H) - α log A(H)`, R refusals, H harmful answers.
 *
 *     N = mean over layers of MMD(MLP outputs on H, Gaussian noise), both at the answers' tokens alone
 *     A = mean over layers of CE(head(norm(h_l)), H)                                   mode "paper"
 *     A = (CE(H) + Σ_{l=0..L} CE(head(norm(h_l)), H)) / (L + 1) + 1                    mode "reference"
 *
 * h_l is the stream after block l; in `reference` also the embedding, and the last one is normalised twice. There CE and
 * N count the tokens that differ from those at the same place of the other batch, see `differingTokens`. New noise at
 * every step. With α = β = 0, mode `paper` is SFT. Two forward and two backward passes, and the head once more a layer.
 * Source: Rosati et al., arXiv 2405.14577, Algorithm 1; docs/methods/repnoise.md compares it with the authors' code.
 */
export const repnoise = method({
  name: "repnoise",
  label: "RepNoise",
  stage: "align",
  streams: ["alignment", "harmful"],
  options,
  limit: { alpha: 0, beta: 0 },
  trial: { beta: 0.1, mode: "reference" },
  tried: [
    { alpha: 0.02, beta: 0.001 },
    { alpha: 0.1, beta: 0.001 },
    { alpha: 0.1, beta: 0.1 },
    { alpha: 1, beta: 0.001 },
  ],
  create: (chosen) => ({
    passes: { forward: 2, backward: 2 },
    step(context) {
      const metrics: Partial<Terms> = {};
      const { grad } = valueAndGrad((w) => Object.assign(metrics, termsAt(context, w, chosen)).loss)(context.weights);
      return { gradient: grad, metrics: metrics as Terms };
    },
    schedule: {
      inputs: ({ model: { layers, hiddenSize } }) => ({
        ...tokenInputs("alignment"),
        ...tokenInputs("harmful"),
        noise: { dtype: "float32", shape: [layers, ...gridOf("harmful"), hiddenSize] },
      }),
      calls: (step, { model, seed }) => [
        {
          inputs({ alignment = [], harmful = [] }) {
            const tokens =
              chosen.mode === "paper"
                ? placeAnswers("harmful", harmful)
                : { ...placeAll("harmful", harmful, alignment), ...placeAll("alignment", alignment, harmful) };
            const shape = [model.layers, ...(tokens["harmful.cells"] as HostTensor).shape, model.hiddenSize];
            const noise = new RandomStream(seed, `repnoise step ${step}`).normals(sizeOf(shape));
            return { ...tokens, noise: tensor("float32", shape, noise) };
          },
        },
      ],
    },
  }),
});

/** The loss and its parts at the given weights. */
function termsAt(context: StepContext, weights: Tree, { alpha, beta, mode, layerPrecision }: RepNoiseOptions): Terms {
  const { model, inputs } = context;
  const params = context.params(weights);
  const { dtype } = params;
  const [refusals, harmful] = [context.padded("alignment"), context.padded("harmful")];
  const seen = forward(context, params, harmful);
  const tokens =
    mode === "paper"
      ? answerTokens("harmful", inputs, harmful, dtype)
      : differingTokens("harmful", inputs, harmful, refusals, dtype);
  const normed = layerPrecision === "float32" ? model.finalNorm : roundedNorm(context);
  const harm = (states: Tensor) => crossEntropy(context, params, states, tokens);
  const between = seen.blocks.slice(0, -1);
  const noiseDistance = average(
    seen.mlps.map((output, layer) => noiseDistanceOf(output, tokens, inputs.noise as Tensor, layer)),
  );
  const harmfulLoss = harm(seen.final);
  let refusalLoss: Tensor;
  let ascent: Tensor;
  if (mode === "paper") {
    refusalLoss = context.loss(weights, "alignment");
    ascent = average([...between.map((states) => harm(normed(params, states))), harmfulLoss]);
  } else {
    const { final } = forward(context, params, refusals);
    refusalLoss = crossEntropy(context, params, final, differingTokens("alignment", inputs, refusals, harmful, dtype));
    const layers = [seen.embedding, ...between, seen.final].map((states) => harm(normed(params, states)));
    ascent = ops.add(average(layers), ops.add(ops.div(harmfulLoss, layers.length), 1));
  }
  const pull = ops.sub(ops.mul(noiseDistance, beta), ops.mul(ops.log(ascent), alpha));
  return { loss: ops.add(refusalLoss, pull), refusalLoss, noiseDistance, harmfulLoss, ascent };
}

/** What a pass over a padded batch leaves: all `[batch * time, hidden]`. */
function forward({ model }: StepContext, params: Weights, batch: PaddedBatch) {
  const mlps: Tensor[] = [];
  const blocks: Tensor[] = [];
  let embedding: Tensor | undefined;
  const final = paddedStates(model, params, batch, {
    tap(place, _, x) {
      if (place === "embedding") embedding = x;
      else if (place === "feedForward") mlps.push(x);
      else if (place === "block") blocks.push(x);
      return x;
    },
  });
  return { embedding: embedding as Tensor, mlps, blocks, final };
}

/** Mean cross-entropy of the tokens under the output head. */
function crossEntropy({ model }: StepContext, params: Weights, states: Tensor, tokens: Tokens): Tensor {
  const { targets, labels, shares, factor } = tokens;
  const rows = ops.gather(states, targets);
  const seen = factor === undefined ? rows : ops.mul(rows, ops.reshape(factor, [targets.dim(0), 1]));
  return linearCrossEntropy(seen, params.tensor(model.head, seen), labels, shares, 1, model.softcap);
}

/** MMD of a layer's states and noise, both with 0 where the mask is 0, each row of the batch as one long vector. */
function noiseDistanceOf(output: Tensor, { cells, mask }: Tokens, noise: Tensor, layer: number): Tensor {
  const [rows, columns, hidden] = [cells.dim(0), cells.dim(1), output.dim(1)];
  const vectors = (x: Tensor) =>
    ops.reshape(ops.mul(ops.reshape(x, [rows, columns, hidden]), ops.reshape(mask, [rows, columns, 1])), [
      rows,
      product(columns, hidden),
    ]);
  return mmd(
    vectors(ops.gather(output, cells)),
    vectors(ops.cast(ops.slice(noise, 0, layer, layer + 1), output.dtype)),
  );
}

/** The final norm between roundings to bfloat16: of what comes in, and of the normalised value before its weight. */
const roundedNorm =
  ({ model }: StepContext) =>
  (params: Weights, x: Tensor): Tensor => {
    let scale: Tensor | undefined;
    const tensor = (name: string) => {
      scale = params.tensor(name);
      return ops.expand(ops.constant(1, scale.dtype), scale.shape);
    };
    const normed = bfloat16(model.finalNorm({ ...params, tensor }, bfloat16(x)));
    return ops.mul(normed, scale as Tensor);
  };

/** Veltkamp's splitting: what is left of float32's 24 significant bits are 8. The gradient is rounded as well. */
function bfloat16(x: Tensor): Tensor {
  const round = (value: Tensor) => {
    const far = ops.mul(value, 2 ** 16 + 1);
    return ops.sub(far, ops.sub(far, value));
  };
  return ops.customGradient([x], round(x), (g) => [() => round(g)]);
}
