import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { total } from "../../sums.ts";

const { globalNorm } = tree;

/** What Virus looks at; x is the one-hot matrix of the inserted tokens, `[length, vocabulary]`. */
export interface VirusFunctions {
  /** f: mean cross-entropy of the victim on a task row followed by x; `weights` are the LoRA factors. */
  victimLoss(weights: Tree, x: Tensor): Tensor;
  /** Cross-entropy of the guard's verdict "safe" on the same. */
  guardLoss(x: Tensor): Tensor;
}

/** Scalars; a term that lambda leaves out is absent. */
export interface VirusTerms {
  readonly loss: Tensor;
  readonly similarity?: Tensor;
  /** Of the gradient with that of the original harmful row. */
  readonly cosine?: Tensor;
  readonly guardLoss?: Tensor;
}

/**
 * Virus's objective, to be minimised over x:
 *
 *     (1 - λ) s(x) + λ j(x)
 *     s(x) = - <∇f(w; x), g0> / ‖∇f(w; x)‖,  g0 = ∇f(w; x0) of the original harmful row, held fixed
 *     j(x) = -log P_guard("safe")
 *
 * The norm is a constant for the derivative with respect to x, as in the authors' code; g0 is not normalised. With λ = 0
 * the guard, with λ = 1 the victim is left out. Source: Huang et al., arXiv 2501.17433.
 */
export function virusObjective(
  { victimLoss, guardLoss }: VirusFunctions,
  { weights, x, original, lambda }: { weights: Tree; x: Tensor; original: Tree; lambda: number },
): VirusTerms {
  const terms: Tensor[] = [];
  const parts: { similarity?: Tensor; cosine?: Tensor; guardLoss?: Tensor } = {};
  if (lambda < 1) {
    const gradient = valueAndGrad((w) => victimLoss(w, x))(weights).grad;
    const norm = globalNorm(gradient);
    const dot = total(Object.entries(original).map(([name, g]) => ops.sum(ops.mul(g, gradient[name] as Tensor))));
    parts.similarity = ops.neg(ops.div(dot, ops.stopGradient(norm)));
    parts.cosine = ops.div(dot, ops.mul(norm, globalNorm(original)));
    terms.push(ops.mul(parts.similarity, 1 - lambda));
  }
  if (lambda > 0) {
    parts.guardLoss = guardLoss(x);
    terms.push(ops.mul(parts.guardLoss, lambda));
  }
  return { loss: total(terms), ...parts };
}

/** The objective with its slopes along x, and those of f alone: both `[length, vocabulary]`. */
export function virusSlopes(
  functions: VirusFunctions,
  given: Parameters<typeof virusObjective>[1],
): VirusTerms & { readonly slopes: Tensor; readonly victimSlopes: Tensor; readonly victimLoss: Tensor } {
  let terms: VirusTerms | undefined;
  const objective = valueAndGrad(({ x }) => {
    terms = virusObjective(functions, { ...given, x: x as Tensor });
    return terms.loss;
  })({ x: given.x });
  const victim = valueAndGrad(({ x }) => functions.victimLoss(given.weights, x as Tensor))({ x: given.x });
  return {
    ...(terms as VirusTerms),
    slopes: objective.grad.x as Tensor,
    victimSlopes: victim.grad.x as Tensor,
    victimLoss: victim.value,
  };
}
