import { ops, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { type Device, type DeviceTensor, type DeviceTensors, fromOrt, typesOf } from "../runtime/index.ts";
import { MIDDLE, quantiseGroups, type Stored, storedHalves, widened } from "../tensor/stored.ts";
import { type DType, type HostTensor, sizeOf } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import type { ModelWeights } from "./stored-weights.ts";

/** Parts of a stored weight in a program. */
type Parts = { readonly [Part in keyof Stored]: Tensor };

/** A form in which a frozen matrix lies in memory: one row of `STORAGES`. */
interface Storage {
  readonly name: string;
  /** Element type of its codes, which tells the rows apart. */
  readonly dtype: DType;
  /** The float32 matrix inside a program; of some of its rows where the parts are. */
  expand(parts: Parts): Tensor;
  /** Brings float32 into this form. @throws {BoosterError} `OPTIONS_CONFLICT` where it does not fit */
  store(weight: HostTensor<"float32">): Stored;
}

/** `codes * scales + minima` */
function expandGroups(codes: Tensor, { scales, minima }: Parts, zero: number): Tensor {
  const values = ops.dequantise(codes, scales as Tensor, zero);
  if (minima === undefined) return values;
  const grouped = ops.reshape(values, [...minima.shape, -1]);
  return ops.reshape(ops.add(grouped, ops.reshape(minima, [...minima.shape, 1])), values.shape);
}

/** Every form besides float32. A new one is one row. */
export const STORAGES: readonly Storage[] = [
  {
    name: "float16",
    dtype: "float16",
    expand: ({ codes }) => ops.cast(codes, "float32"),
    store: (weight) => storedHalves("float16", weight),
  },
  {
    name: "bfloat16",
    dtype: "uint16",
    expand: ({ codes }) => ops.bfloat(codes),
    store: (weight) => storedHalves("bfloat16", weight),
  },
  {
    name: "int8",
    dtype: "int8",
    expand: (parts) => expandGroups(parts.codes, parts, 0),
    store: (weight) => quantiseGroups(8, weight, groupOf(weight)),
  },
  {
    name: "int4",
    dtype: "uint8",
    expand: (parts) => expandGroups(ops.nibbles(parts.codes), parts, parts.minima === undefined ? MIDDLE : 0),
    store: (weight) => quantiseGroups(4, weight, groupOf(weight)),
  },
];

/** Forms that a user may choose. */
export const BASES = ["float32", "bfloat16", "int8", "int4"] as const;
export type BaseForm = (typeof BASES)[number];

/**
 * Weights with their matrices in a form, by default in that which they have on disk. Quantised to int4, embedding and head are int8: a row
 * of them is a token by itself. Norms, biases and what else is no matrix of the model's stay float32.
 */
export function inForm(
  { linears, embedding, head }: Pick<Model, "linears" | "embedding" | "head">,
  weights: ModelWeights,
  form?: BaseForm,
): Pick<ModelWeights, "load" | "keep"> {
  const isTable = (name: string) => name === embedding || name === head;
  const isMatrix = (name: string) => isTable(name) || linears.has(name.replace(/\.weight$/, ""));
  const keep = (name: string): Stored | undefined => {
    if (form === "float32" || !isMatrix(name)) return undefined;
    const kept = weights.keep(name);
    const wanted = form === "int4" && isTable(name) ? "int8" : form;
    if (wanted === undefined || (kept && storageOf(kept.codes)?.name === wanted)) return kept;
    return STORAGES.find((row) => row.name === wanted)?.store(weights.load(name));
  };
  if (form === undefined) return { keep, load: (name) => weights.load(name) };
  return {
    keep,
    load(name) {
      const kept = keep(name);
      return kept === undefined ? weights.load(name) : widened(kept);
    },
  };
}

const GROUP = 32;
const LEAST_GROUP = 8;

/** Neighbours of a row that share a scale: 32, or fewer where the width has no such divisor. */
function groupOf({ shape }: HostTensor): number {
  const width = shape[1] as number;
  let group = GROUP;
  while (width % group !== 0) group /= 2;
  if (group >= LEAST_GROUP) return group;
  throw new BoosterError("OPTIONS_CONFLICT", "rows of this width do not divide into groups that share a scale", {
    expected: `a multiple of ${LEAST_GROUP} columns`,
    found: `[${shape.join(", ")}]`,
    where: "base",
    hint: "Use base bfloat16.",
  });
}

const SUFFIXES = { scales: ".scales", minima: ".minima" } as const;

/** A stored weight among named tensors: its codes under its own name. */
export const namedParts = (name: string, { codes, scales, minima }: Stored): [string, HostTensor][] => [
  [name, codes],
  ...(scales === undefined ? [] : [[name + SUFFIXES.scales, scales] as [string, HostTensor]]),
  ...(minima === undefined ? [] : [[name + SUFFIXES.minima, minima] as [string, HostTensor]]),
];

/** The parts of the weight of that name; only `codes` where it is float32. */
function partsOf(tensors: Tree, name: string, each: (part: Tensor) => Tensor): Parts {
  const [codes, scales, minima] = ["", SUFFIXES.scales, SUFFIXES.minima].map((suffix) => tensors[name + suffix]);
  return {
    codes: each(codes as Tensor),
    ...(scales && { scales: each(scales) }),
    ...(minima && { minima: each(minima) }),
  };
}

export const storageOf = (codes: Pick<Tensor, "dtype">): Storage | undefined =>
  STORAGES.find(({ dtype }) => dtype === codes.dtype);

/**
 * The weight of that name among a program's arguments in what is computed in; `each` may pick rows of its parts. There must be one.
 */
export function expanded(tensors: Tree, name: string, each: (part: Tensor) => Tensor = (part) => part): Tensor {
  const storage = storageOf(tensors[name] as Tensor);
  return storage === undefined ? each(tensors[name] as Tensor) : storage.expand(partsOf(tensors, name, each));
}

/**
 * `x W'`, or `x W` without `transB`, by a matrix that is stored: expanded where it is used, in the forward pass and again in the backward
 * pass, so that no pass keeps the float32 copy. `expand` is told what must be there before.
 */
export const storedProduct = (x: Tensor, expand: (after: Tensor) => Tensor, transB: boolean): Tensor =>
  ops.customGradient([x], ops.matmul(x, expand(x), { transB }), (g) => [() => storedProduct(g, expand, !transB)]);

/** Copies of weights in host memory, as programs compute with them. */
export async function readWeights(
  device: Device,
  tensors: DeviceTensors,
  names: readonly string[],
): Promise<Map<string, HostTensor<"float32">>> {
  const program = await device.compile({ tensors: typesOf(tensors) }, (given) =>
    Object.fromEntries(names.map((name) => [name, expanded(given.tensors, name)])),
  );
  const read = await program.run({ tensors });
  return new Map(names.map((name) => [name, read[name] as HostTensor<"float32">]));
}

/** Weights of a model in float32 alone. */
export interface Widening {
  readonly types: Readonly<Record<string, TensorType>>;
  /** Of the float32 copies. */
  readonly bytes: number;
  /** What has been float32 before is shared. */
  widen(): Promise<DeviceTensors>;
}

/** A matrix among weights in host memory that is not float32. */
export function storedOf(tensors: DeviceTensors, name: string): Stored | undefined {
  const [codes, scales, minima] = ["", SUFFIXES.scales, SUFFIXES.minima].map((suffix) => tensors[name + suffix]);
  if (codes === undefined || storageOf({ dtype: codes.type as DType }) === undefined) return undefined;
  const part = (x: DeviceTensor) => fromOrt(x) as HostTensor<"float32">;
  return { codes: fromOrt(codes), ...(scales && { scales: part(scales) }), ...(minima && { minima: part(minima) }) };
}

/** How weights become float32 for the time of a call that uses each of them many times; those of `which`, by default all. */
export function widening(
  device: Device,
  model: Pick<Model, "weights">,
  tensors: DeviceTensors,
  which: (name: string) => boolean = () => true,
): Widening {
  const shapeOf = (name: string) => model.weights.get(name) as readonly number[];
  const isStored = (name: string) =>
    model.weights.has(name) && storageOf({ dtype: tensors[name]?.type as DType }) !== undefined && which(name);
  const stored = Object.keys(tensors).filter(isStored);
  const parts = new Set(stored.flatMap((name) => ["", ...Object.values(SUFFIXES)].map((suffix) => name + suffix)));
  const rest = Object.fromEntries(Object.entries(tensors).filter(([name]) => !parts.has(name)));
  return {
    types: {
      ...typesOf(rest),
      ...Object.fromEntries(stored.map((name) => [name, { dtype: "float32", shape: shapeOf(name) } as const])),
    },
    bytes: stored.reduce((sum, name) => sum + 4 * sizeOf(shapeOf(name)), 0),
    widen: async () => ({ ...rest, ...(await device.uploadAll(await readWeights(device, tensors, stored))) }),
  };
}
