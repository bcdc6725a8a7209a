import { dim, type Tensor, type TensorType, valueAndGrad } from "../../../autodiff/index.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, weightsOf } from "../../../models/index.ts";
import { type Mapped, typesOf } from "../../../runtime/index.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";
import type { Victim } from "../attack.ts";
import { type VirusFunctions, virusObjective, virusSlopes } from "./objective.ts";
import { insertionOf, insertionTypes, type Reading, type Shown, withInserted } from "./reading.ts";
import type { ByPosition } from "./search.ts";

/** A task row as tokens, into which something is inserted. */
export interface Host {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  /** How the guard is shown what is inserted. */
  readonly shown: Shown;
}

/** Values of the objective at some tokens; a term that lambda leaves out is absent. */
export interface VirusValues {
  readonly loss: number;
  readonly cosine?: number;
  readonly guardLoss?: number;
}

type Direction = Readonly<Record<string, HostTensor>>;

/** Types of what the programs are given. */
function typesFor({ base, lora }: Victim, guard: Reading) {
  const float = (...shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
  const factors = typesOf(lora.tensors);
  return {
    base: typesOf(base.weights),
    factors,
    original: factors,
    batch: batchTypes("row", 1),
    x: float(dim("inserted"), base.model.vocabSize),
    /** From the inserted tokens to those of the row. */
    index: insertionTypes("row"),
    guard: guard.types,
  };
}
type Given = Mapped<ReturnType<typeof typesFor>, Tensor>;

export type VirusProgram = Awaited<ReturnType<typeof virusProgram>>;

/** Virus's objective on a real victim and a guard, compiled once for all rows. */
export async function virusProgram(victim: Victim, guard: Reading, lambda: number) {
  const { device } = victim.base;
  const types = typesFor(victim, guard);
  const at = ({ factors: weights, x, original }: Given) => ({ weights, x, original, lambda });
  const gradient = await device.compile(types, (given) => {
    const { victimLoss } = functionsOf(victim, guard, given);
    return valueAndGrad((w) => victimLoss(w, given.x))(given.factors).grad;
  });
  const slopes = await device.compile(types, (given) => virusSlopes(functionsOf(victim, guard, given), at(given)));
  const values = await device.compile(types, (given) => virusObjective(functionsOf(victim, guard, given), at(given)));
  return {
    /** g0: the victim's gradient on the host followed by the tokens as they are at first. */
    originalGradient: (host: Host, tokens: readonly number[]): Promise<Direction> =>
      gradient.run(feedsOf(victim, guard, host, tokens)),
    /** Slopes of the objective, and of the victim's loss alone, along the one-hot matrix of the tokens. */
    async slopesAt(host: Host, tokens: readonly number[], original: Direction) {
      const found = await slopes.run({ ...feedsOf(victim, guard, host, tokens), original });
      return { slopes: rowsOf(found.slopes), victimSlopes: rowsOf(found.victimSlopes) };
    },
    async valuesAt(host: Host, tokens: readonly number[], original: Direction): Promise<VirusValues> {
      const found = await values.run({ ...feedsOf(victim, guard, host, tokens), original });
      const numbers = Object.entries(found).map(([name, { data }]) => [name, Number(data[0])] as const);
      return { loss: Number.NaN, ...Object.fromEntries(numbers) };
    },
  };
}

/** A row followed by tokens, as arguments. */
function feedsOf({ base, lora }: Victim, guard: Reading, { ids, labels, shown }: Host, tokens: readonly number[]) {
  const { vocabSize } = base.model;
  const x = new Float32Array(tokens.length * vocabSize);
  tokens.forEach((token, position) => {
    x[position * vocabSize + token] = 1;
  });
  const inputIds = [...ids, ...tokens];
  const places = inputIds.map((_, t) => (t < ids.length ? -1 : t - ids.length));
  return {
    base: base.weights,
    factors: lora.tensors,
    batch: packBatch([{ inputIds, labels: [...labels, ...tokens] }], { chunks: 1 }),
    x: tensor("float32", [tokens.length, vocabSize], x),
    index: insertionOf({ ids: inputIds, places }, tokens.length),
    guard: guard.feeds(shown, tokens),
  };
}

/** The victim's and the guard's losses in terms of a program's arguments. */
const functionsOf = ({ base: { model }, lora: { scale } }: Victim, guard: Reading, given: Given): VirusFunctions => ({
  victimLoss(factors, x) {
    const weights = weightsOf(model, given.base, { scale, tensors: factors });
    const joined = withInserted(weights, model.embedding, x, given.index);
    return tokenLoss(model, joined, batchOf(given.batch), { chunks: 1 });
  },
  guardLoss: (x) => guard.loss(given.guard, x),
});

function rowsOf({ shape, data }: HostTensor): ByPosition {
  const [rows = 0, columns = 0] = shape;
  return Array.from({ length: rows }, (_, i) => (data as Float32Array).subarray(i * columns, (i + 1) * columns));
}
