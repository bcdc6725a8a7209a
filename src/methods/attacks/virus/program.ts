import { dim, ops, type Tensor, type TensorType, valueAndGrad } from "../../../autodiff/index.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, weightsOf } from "../../../models/index.ts";
import { type Mapped, typesOf } from "../../../runtime/index.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";
import type { Victim } from "../attack.ts";
import { type VirusFunctions, virusObjective, virusSlopes } from "./objective.ts";
import type { ByPosition } from "./search.ts";
import type { ToyGuard } from "./toy-guard.ts";

/** A task row as tokens, into which something is inserted. */
export interface Host {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/** Values of the objective at some tokens; a term that lambda leaves out is absent. */
export interface VirusValues {
  readonly loss: number;
  readonly cosine?: number;
  readonly guardLoss?: number;
}

type Direction = Readonly<Record<string, HostTensor>>;

/** Types of what the programs are given. */
function typesFor({ base, lora }: Victim) {
  const float = (...shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
  const int32 = (...shape: TensorType["shape"]): TensorType => ({ dtype: "int32", shape });
  const length = dim("inserted");
  const factors = typesOf(lora.tensors);
  return {
    base: typesOf(base.weights),
    factors,
    original: factors,
    batch: batchTypes("row", 1),
    x: float(length, base.model.vocabSize),
    /** From the inserted tokens to those of the row. */
    inserted: { to: int32(dim("row.tokens")), back: int32(length) },
    guard: { weights: float(base.model.vocabSize, 1), known: float(), length: float() },
  };
}
type Given = Mapped<ReturnType<typeof typesFor>, Tensor>;

export type VirusProgram = Awaited<ReturnType<typeof virusProgram>>;

/** Virus's objective on a real victim and the toy guard, compiled once for all rows. */
export async function virusProgram(victim: Victim, guard: ToyGuard, lambda: number) {
  const { device } = victim.base;
  const types = typesFor(victim);
  const at = ({ factors: weights, x, original }: Given) => ({ weights, x, original, lambda });
  const gradient = await device.compile(types, (given) => {
    const { victimLoss } = functionsOf(victim, given);
    return valueAndGrad((w) => victimLoss(w, given.x))(given.factors).grad;
  });
  const slopes = await device.compile(types, (given) => virusSlopes(functionsOf(victim, given), at(given)));
  const values = await device.compile(types, (given) => virusObjective(functionsOf(victim, given), at(given)));
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
function feedsOf({ base, lora }: Victim, guard: ToyGuard, { ids, labels }: Host, tokens: readonly number[]) {
  const { vocabSize } = base.model;
  const total = ids.length + tokens.length;
  const x = new Float32Array(tokens.length * vocabSize);
  tokens.forEach((token, position) => {
    x[position * vocabSize + token] = 1;
  });
  const places = Array.from({ length: total }, (_, t) => (t < ids.length ? -1 : t - ids.length));
  const back = tokens.map((_, position) => ids.length + position);
  return {
    base: base.weights,
    factors: lora.tensors,
    batch: packBatch([{ inputIds: [...ids, ...tokens], labels: [...labels, ...tokens] }], { chunks: 1 }),
    x: tensor("float32", [tokens.length, vocabSize], x),
    inserted: { to: tensor("int32", [total], places), back: tensor("int32", [tokens.length], back) },
    guard: {
      weights: tensor("float32", [vocabSize, 1], guard.weights),
      known: tensor("float32", [], [guard.sum(ids) + guard.bias * total]),
      length: tensor("float32", [], [total]),
    },
  };
}

/** The victim's and the guard's losses in terms of a program's arguments. */
function functionsOf({ base: { model }, lora: { scale } }: Victim, given: Given): VirusFunctions {
  const { guard, inserted } = given;
  const index = { ...inserted, padded: true, partial: false };
  const isOwn = ops.less(ops.reshape(inserted.to, [inserted.to.dim(0), 1]), 0);
  return {
    victimLoss(factors, x) {
      const weights = weightsOf(model, given.base, { scale, tensors: factors });
      const others = ops.move(ops.matmul(x, weights.tensor(model.embedding)), index);
      // In the place of what is looked up, since a family may scale that, or add where tokens stand.
      const embed = (ids: Tensor) => ops.where(isOwn, weights.embed(ids), others);
      return tokenLoss(model, { ...weights, embed }, batchOf(given.batch), { chunks: 1 });
    },
    guardLoss(x) {
      const z = ops.div(ops.add(guard.known, ops.sum(ops.matmul(x, guard.weights))), guard.length);
      // -log(1 - sigmoid(z)), without overflow
      return ops.add(ops.maximum(z, 0), ops.log(ops.add(ops.exp(ops.neg(ops.abs(z))), 1)));
    },
  };
}

function rowsOf({ shape, data }: HostTensor): ByPosition {
  const [rows = 0, columns = 0] = shape;
  return Array.from({ length: rows }, (_, i) => (data as Float32Array).subarray(i * columns, (i + 1) * columns));
}
