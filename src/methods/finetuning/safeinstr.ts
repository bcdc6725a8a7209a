import { z } from "zod";
import { ops, type Tensor, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { BoosterError } from "../../errors.ts";
import { countLabelled, type Example } from "../../models/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { method, type RunFacts, type StepDirection, type Training } from "../method.ts";

const options = z.strictObject({
  safetyRatio: z.number().min(0).max(1).default(0.03).describe("safety rows that are added, as a share of the user's"),
  replace: z.boolean().default(false).describe("leave out as many of the user's last rows in exchange"),
});
type SafeInstrOptions = z.infer<typeof options>;

/**
 * SafeInstr: plain fine-tuning on the user's n rows and m safety rows, shuffled together anew in each epoch.
 *
 *     G = ∇ of the mean token loss of a batch of the n + m rows
 *
 * A batch may hold rows of both kinds; their losses are weighed by their labelled tokens, so it is the loss of one batch.
 * The run takes as many epochs as without safety rows, so its steps grow by m / n. m = 0 is SFT. One forward and one
 * backward pass.
 * Source: Bianchi et al., arXiv 2309.07875; "mixed fine-tuning" of Zong et al., arXiv 2402.02207;
 * docs/methods/safeinstr.md.
 */
export const safeinstr = method({
  name: "safeinstr",
  label: "SafeInstr",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { safetyRatio: 0 },
  trial: { safetyRatio: 0.5 },
  tried: [{ safetyRatio: 1 }, { safetyRatio: 0.03 }, { safetyRatio: 0.1 }, { safetyRatio: 0.3 }],
  create: mixSafety,
});

/** Training on the user's rows and safety rows together, and as many steps more as that takes. */
export function mixSafety(chosen: SafeInstrOptions): Training<Record<never, never>> {
  return {
    passes: { forward: 1, backward: 1 },
    step({ weights, loss, inputs }) {
      const share = inputs.alignmentShare as Tensor;
      return descend(weights, (w) =>
        ops.add(ops.mul(loss(w, "user"), ops.sub(1, share)), ops.mul(loss(w, "alignment"), share)),
      );
    },
    programs: {
      user: ({ weights, loss }) => descend(weights, (w) => loss(w, "user")),
      alignment: ({ weights, loss }) => descend(weights, (w) => loss(w, "alignment")),
    },
    schedule: {
      inputs: () => ({ alignmentShare: { dtype: "float32", shape: [] } }),
      extraSteps(facts) {
        const epochs = facts.steps / facts.stepsPerEpoch;
        return Math.ceil(epochs * mixOf(facts, chosen).stepsPerEpoch) - facts.steps;
      },
      calls(step, facts) {
        const { user, safety, batchSize, stepsPerEpoch } = mixOf(facts, chosen);
        // The user's own order of rows, so that this is SFT to the bit.
        if (safety === 0) return [{ program: "user" }];
        const epoch = Math.floor(step / stepsPerEpoch);
        const order = new RandomStream(facts.seed, "safety-mix").permutation(user + safety, epoch);
        const start = (step % stepsPerEpoch) * batchSize;
        const places = order.slice(start, start + batchSize);
        const rows = {
          user: places.filter((place) => place < user),
          alignment: places.filter((place) => place >= user).map((place) => place - user),
        };
        if (rows.alignment.length === 0) return [{ program: "user", rows }];
        if (rows.user.length === 0) return [{ program: "alignment", rows }];
        return [{ rows, inputs: ({ user: own = [], alignment = [] }) => shareOf(own, alignment) }];
      },
    },
  };
}

function descend(weights: Tree, objective: (w: Tree) => Tensor): StepDirection {
  const { value, grad } = valueAndGrad(objective)(weights);
  return { gradient: grad, metrics: { loss: value } };
}

/** Part of the labelled tokens that are of safety rows. */
function shareOf(user: readonly Example[], alignment: readonly Example[]): Record<string, HostTensor> {
  const count = (rows: readonly Example[]) => rows.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
  const safety = count(alignment);
  return { alignmentShare: tensor("float32", [], [safety / (safety + count(user))]) };
}

/** @throws {BoosterError} `DATA_TOO_FEW_ROWS` when there are not as many safety rows as are to be mixed in */
function mixOf({ rows, batch }: Pick<RunFacts, "rows" | "batch">, { safetyRatio, replace }: SafeInstrOptions) {
  const { user: given = 0, alignment = 0 } = rows;
  const safety = Math.round(safetyRatio * given);
  if (safety > alignment) {
    throw new BoosterError("DATA_TOO_FEW_ROWS", "there are fewer safety rows than are to be mixed in", {
      expected: `${safety} for ${given} rows of the user's`,
      found: String(alignment),
      where: "alignment",
    });
  }
  const user = replace ? given - safety : given;
  const batchSize = batch("user", 0).length;
  return { user, safety, batchSize, stepsPerEpoch: Math.ceil((user + safety) / batchSize) };
}
