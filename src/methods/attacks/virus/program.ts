import { dim, ops, type Tensor, type TensorType, type Tree, valueAndGrad } from "../../../autodiff/index.ts";
import { batchOf, batchSpec, packBatch, tokenLoss } from "../../../models/index.ts";
import type { Feeds, Program } from "../../../runtime/index.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";
import type { Victim } from "../attack.ts";
import { type VirusFunctions, virusObjective, virusSlopes } from "./objective.ts";
import type { ByPosition } from "./search.ts";
import type { ToyGuard } from "./toy-guard.ts";

const ROW = "row";
const ORIGINAL = "original.";

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

/** Virus's objective on a real victim and the toy guard, compiled once for all rows. */
export class VirusProgram {
  private readonly victim: Victim;
  private readonly guard: ToyGuard;
  private readonly original: Program;
  private readonly slopes: Program;
  private readonly values: Program;

  private constructor(victim: Victim, guard: ToyGuard, programs: Record<"original" | "slopes" | "values", Program>) {
    this.victim = victim;
    this.guard = guard;
    this.original = programs.original;
    this.slopes = programs.slopes;
    this.values = programs.values;
  }

  static async compile(victim: Victim, guard: ToyGuard, lambda: number): Promise<VirusProgram> {
    const { base, lora } = victim;
    const float = (shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
    const length = dim("inserted");
    const factors = [...lora.tensors].map(([name, { shape }]) => [name, float(shape)] as const);
    const inputs: Record<string, TensorType> = {
      ...Object.fromEntries(Object.entries(base.weights).map(([name, { dims }]) => [name, float(dims)])),
      ...Object.fromEntries(factors),
      ...Object.fromEntries(factors.map(([name, type]) => [`${ORIGINAL}${name}`, type])),
      ...batchSpec(ROW, 1),
      x: float([length, base.model.vocabSize]),
      place: { dtype: "int32", shape: [dim(`${ROW}.tokens`)] },
      inverse: { dtype: "int32", shape: [length] },
      guardWeights: float([base.model.vocabSize, 1]),
      guardKnown: float([]),
      guardLength: float([]),
    };
    const named = (tree: Tree, prefix: string): Tree =>
      Object.fromEntries(factors.map(([name]) => [name, tree[`${prefix}${name}`] as Tensor]));
    const compile = (build: (functions: VirusFunctions, given: Parameters<typeof virusObjective>[1]) => Tree) =>
      base.device.compile({ inputs }, ({ inputs: tree }) => ({
        outputs: build(functionsOf(victim, tree), {
          weights: named(tree, ""),
          x: tree.x as Tensor,
          original: named(tree, ORIGINAL),
          lambda,
        }),
      }));
    return new VirusProgram(victim, guard, {
      original: await compile(({ victimLoss }, { weights, x }) => {
        const { grad } = valueAndGrad((w) => victimLoss(w, x))(weights);
        return Object.fromEntries(Object.entries(grad).map(([name, g]) => [`${ORIGINAL}${name}`, g]));
      }),
      slopes: await compile((functions, given) => {
        const { slopes, victimSlopes } = virusSlopes(functions, given);
        return { slopes, victimSlopes };
      }),
      values: await compile((functions, given) => ({ ...virusObjective(functions, given) })),
    });
  }

  /** g0: the victim's gradient on the host followed by the tokens as they are at first. */
  originalGradient(host: Host, tokens: readonly number[]): Promise<Direction> {
    return this.original.run(this.feeds(host, tokens));
  }

  /** Slopes of the objective, and of the victim's loss alone, along the one-hot matrix of the tokens. */
  async slopesAt(
    host: Host,
    tokens: readonly number[],
    original: Direction,
  ): Promise<{ readonly slopes: ByPosition; readonly victimSlopes: ByPosition }> {
    const { slopes, victimSlopes } = await this.slopes.run({ ...this.feeds(host, tokens), ...original });
    return { slopes: rowsOf(slopes as HostTensor), victimSlopes: rowsOf(victimSlopes as HostTensor) };
  }

  async valuesAt(host: Host, tokens: readonly number[], original: Direction): Promise<VirusValues> {
    const values = await this.values.run({ ...this.feeds(host, tokens), ...original });
    const numbers = Object.entries(values).map(([name, { data }]) => [name, Number(data[0])] as const);
    return { loss: Number.NaN, ...Object.fromEntries(numbers) };
  }

  private feeds({ ids, labels }: Host, tokens: readonly number[]): Feeds {
    const { base, lora } = this.victim;
    const { vocabSize } = base.model;
    const total = ids.length + tokens.length;
    const x = new Float32Array(tokens.length * vocabSize);
    tokens.forEach((token, position) => {
      x[position * vocabSize + token] = 1;
    });
    return {
      ...base.weights,
      ...Object.fromEntries(lora.tensors),
      ...packBatch(ROW, [{ inputIds: [...ids, ...tokens], labels: [...labels, ...tokens] }], { chunks: 1 }),
      x: tensor("float32", [tokens.length, vocabSize], x),
      place: tensor(
        "int32",
        [total],
        Array.from({ length: total }, (_, t) => (t < ids.length ? -1 : t - ids.length)),
      ),
      inverse: tensor(
        "int32",
        [tokens.length],
        tokens.map((_, position) => ids.length + position),
      ),
      guardWeights: tensor("float32", [vocabSize, 1], this.guard.weights),
      guardKnown: tensor("float32", [], [this.guard.sum(ids) + this.guard.bias * total]),
      guardLength: tensor("float32", [], [total]),
    };
  }
}

/** The victim's and the guard's losses in terms of a program's arguments. */
function functionsOf({ base, lora }: Victim, inputs: Tree): VirusFunctions {
  const argument = (name: string) => inputs[name] as Tensor;
  const batch = batchOf(ROW, inputs);
  const embedding = argument("model.embed_tokens.weight");
  const place = ops.reshape(argument("place"), [argument("place").dim(0), 1]);
  return {
    victimLoss(weights, x) {
      const inserted = ops.moveRows(ops.matmul(x, embedding), argument("place"), argument("inverse"), {
        padded: true,
        inversePadded: false,
      });
      const tap = (module: string, output: Tensor) =>
        module === "model.embed_tokens" ? ops.where(ops.less(place, 0), output, inserted) : output;
      return tokenLoss(base.model, { ...inputs, ...weights }, batch, { loraScale: lora.scale, chunks: 1, tap });
    },
    guardLoss(x) {
      const sum = ops.add(argument("guardKnown"), ops.sum(ops.matmul(x, argument("guardWeights"))));
      const z = ops.div(sum, argument("guardLength"));
      // -log(1 - sigmoid(z)), without overflow
      return ops.add(ops.maximum(z, 0), ops.log(ops.add(ops.exp(ops.neg(ops.abs(z))), 1)));
    },
  };
}

function rowsOf({ shape, data }: HostTensor): ByPosition {
  const [rows = 0, columns = 0] = shape;
  return Array.from({ length: rows }, (_, i) => (data as Float32Array).subarray(i * columns, (i + 1) * columns));
}
