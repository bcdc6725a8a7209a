import { ops, type Tensor, type Tree, valueAndGrad } from "../../../autodiff/index.ts";
import { moduleOf } from "../../../models/index.ts";
import { asFloat32 } from "../../../tensor/matrix.ts";
import type { HostTensor } from "../../../tensor/tensor.ts";
import { method } from "../../method.ts";
import { copy, memories } from "../../state.ts";
import { calibrate, options } from "./calibrate.ts";
import { fold } from "./projection.ts";

/**
 * SaLoRA: LoRA whose output has no part in the directions that the model's safe answers take.
 *
 *     Y_h = X_h W'                  features of safe answers, V_s their r_s top right singular vectors
 *     C   = I - V_s V_s'            fixed
 *     W ~ U S V'                    A0 = sqrt(S) V',  B0 = V_t V_t' U sqrt(S), V_t as V_s but of the task's answers
 *     y   = (W - C B0 A0) x + C B A x       A and B trained from A0 and B0; the function is W x at first
 *
 * The adapter that is trained on W itself, and published, is the same function: `[C B, -C B0] [A; A0]`, of twice the rank.
 * `loraAlpha` should be `loraRank`, the paper's scale of 1. One forward and one backward pass; before the first step two
 * forward passes over the calibration rows. C is never formed: `C B = B - V_s (V_s' B)`.
 * Source: Li et al., arXiv 2501.01765; docs/methods/salora.md compares it with the authors' code.
 */
export const salora = method({
  name: "salora",
  label: "SaLoRA",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  trial: { safetyRank: 2, taskRank: 3 },
  tried: [8, 16, 32, 64].map((safetyRank) => ({ safetyRank, taskRank: 16 })),
  trains: "lora",
  advice: ({ loraAlpha, loraRank }) =>
    loraAlpha === loraRank
      ? []
      : [`its paper's LoRA has the scale 1, this one ${loraAlpha / loraRank}: loraAlpha ${loraRank} would be it`],
  state: ({ safetyRank }) => ({
    initial: copy("zeros"),
    safety: memories(({ model }) =>
      Object.fromEntries([...model.linears].map(([module, [out]]) => [module, [safetyRank, out]])),
    ),
  }),
  create: (chosen) => ({
    passes: { forward: 1, backward: 1 },
    async prepare(preparation) {
      const weights = new Map<string, HostTensor<"float32">>();
      const directions: Record<string, HostTensor<"float32">> = {};
      for (const [module, { safety, A, B }] of await calibrate(preparation, chosen)) {
        weights.set(`${module}.lora_A.weight`, asFloat32(A));
        weights.set(`${module}.lora_B.weight`, asFloat32(B));
        directions[module] = asFloat32(safety);
      }
      return { weights, state: { initial: weights, safety: directions } };
    },
    step({ weights, loss, state: { initial, safety } }) {
      const { value, grad } = valueAndGrad((w) => loss(deployed(w, initial, safety), "user"))(weights);
      return { gradient: grad, metrics: { loss: value } };
    },
    publish({ weights, state: { initial, safety } }) {
      const published = new Map<string, HostTensor<"float32">>();
      for (const module of new Set([...weights.keys()].map(moduleOf))) {
        const factors = (from: ReadonlyMap<string, HostTensor<"float32">>) => ({
          A: from.get(`${module}.lora_A.weight`) as HostTensor<"float32">,
          B: from.get(`${module}.lora_B.weight`) as HostTensor<"float32">,
        });
        const { A, B } = fold(factors(weights), factors(initial), safety[module] as HostTensor<"float32">);
        published.set(`${module}.lora_A.weight`, asFloat32(A));
        published.set(`${module}.lora_B.weight`, asFloat32(B));
      }
      return published;
    },
  }),
});

/** `[C B, -C B0]` and `[A; A0]` as the factors of each layer. */
function deployed(trained: Tree, initial: Tree, safety: Tree): Tree {
  const factors = Object.entries(trained).map(([name, x]): [string, Tensor] => {
    const V = safety[moduleOf(name)] as Tensor;
    const x0 = initial[name] as Tensor;
    if (name.endsWith(".lora_A.weight")) return [name, ops.concat([x, x0], 0)];
    const project = (b: Tensor) => ops.sub(b, ops.matmul(V, ops.matmul(V, b), { transA: true }));
    return [name, ops.concat([project(x), ops.neg(project(x0))], 1)];
  });
  return Object.fromEntries(factors);
}
