import { sameShape } from "../dim.ts";
import { defineOp, type Loop, type OpFunction, shapeError, type Tensor } from "../tensor.ts";
import { input } from "./constant.ts";
import { standsFor } from "./control.ts";
import { add, mul } from "./elementwise.ts";

/** A body that is equal to others that compute the same, whatever tensors it was traced with. */
class Traced implements Loop {
  private readonly signature: string;

  constructor(
    readonly parameters: readonly Tensor[],
    readonly results: readonly Tensor[],
    readonly carried: number,
    readonly scanned: number,
  ) {
    const numbers = new Map<number, number>();
    const lines: string[] = [];
    const numberOf = (x: Tensor): number => {
      const known = numbers.get(x.id);
      if (known !== undefined) return known;
      const target = standsFor(x);
      const line =
        target === undefined && `${x.op.name} ${x.inputs.map(numberOf).join(",")} ${JSON.stringify(x.attrs)}`;
      const number = line === false ? numberOf(target as Tensor) : lines.push(line) - 1;
      numbers.set(x.id, number);
      return number;
    };
    const ends = results.map(numberOf);
    this.signature = `${carried} ${scanned} ${ends.join(",")}: ${lines.join("; ")}`;
  }

  toJSON(): string {
    return this.signature;
  }
}

/** One result of a scan; the scan is written once for all of them. Inputs: carried, scanned, read by every turn. */
const scanOp: OpFunction<{ readonly body: Loop; readonly index: number }> = defineOp<
  { readonly body: Loop; readonly index: number },
  readonly Tensor[]
>({
  name: "scan",
  type(inputs, { body: { parameters, results, carried, scanned }, index }) {
    const fits = parameters.every((x, i) => {
      const given = inputs[i] as Tensor;
      const isScanned = i >= carried && i < carried + scanned;
      return sameShape(x.shape, isScanned ? given.shape.slice(1) : given.shape) && x.dtype === given.dtype;
    });
    if (!fits) throw shapeError("scan", "what the body was traced for", inputs);
    const result = results[index] as Tensor;
    if (index < carried) return result;
    return { dtype: result.dtype, shape: [(inputs[carried] as Tensor).dim(0), ...result.shape] };
  },
  lower: (emit, { names, attrs: { body, index } }) =>
    emit.shared(`scan ${names.join(" ")} ${JSON.stringify(body)}`, () => emit.scan(body, names))[index] as string,
  samples(draw) {
    const shape = draw.shape(2);
    const [sum, x, y] = ["sum", "x", "y"].map((name) => input(name, "float64", shape)) as [Tensor, Tensor, Tensor];
    const next = add(sum, x);
    const body = new Traced([sum, x, y], [next, mul(next, y)], 1, 1);
    const inputs = [shape, [draw.integer(1, 3), ...shape], shape].map((of) => {
      const size = of.reduce((product, n) => product * n, 1);
      return { shape: of, dtype: "float64" as const, values: Array.from({ length: size }, () => draw.integer(-3, 3)) };
    });
    return [0, 1].map((index) => ({ inputs, attrs: { body, index } }));
  },
});

interface Given<T> {
  /** Handed on from turn to turn. */
  readonly carried?: readonly T[];
  /** A turn sees one part of its first axis. */
  readonly scanned: readonly T[];
  /** Every turn sees all of it. */
  readonly read?: readonly T[];
}

/**
 * A loop over the first axis of what is scanned: `step` is traced once, and each turn is given what the turn before handed on. What turns
 * put out is laid one behind the other. Its size is known when the program runs; the program holds the body once. It has no gradient of its own.
 *
 * @example
 * scan(({ carried: [sum], scanned: [x] }) => ({ carried: [add(sum, x)], outputs: [] }), { carried: [zero], scanned: [rows] });
 */
export function scan(
  step: (turn: Required<Given<Tensor>>) => { readonly carried: readonly Tensor[]; readonly outputs: readonly Tensor[] },
  { carried = [], scanned, read = [] }: Given<Tensor>,
): { readonly carried: readonly Tensor[]; readonly outputs: readonly Tensor[] } {
  const given = [...carried, ...scanned, ...read];
  const [first, last] = [carried.length, carried.length + scanned.length];
  const parameters = given.map(({ dtype, shape }, i) =>
    input(`turn ${i}`, dtype, i >= first && i < last ? shape.slice(1) : shape),
  );
  const done = step({
    carried: parameters.slice(0, first),
    scanned: parameters.slice(first, last),
    read: parameters.slice(last),
  });
  const body = new Traced(parameters, [...done.carried, ...done.outputs], first, scanned.length);
  const results = body.results.map((_, index) => scanOp(given, { body, index }));
  return { carried: results.slice(0, first), outputs: results.slice(first) };
}

export const SCAN_OPS = [scanOp.op];
