import { type Dim, dim, ops, type Tensor, type TensorType } from "../autodiff/index.ts";
import type { Model } from "../models/index.ts";
import { type Device, type DeviceTensor, leaves, mapNested, type Program, State } from "../runtime/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Beginning, KvCache } from "./cache.ts";
import type { Past } from "./cached-attention.ts";

/** What a step of decoding reads of rows and of their beginning. */
export interface Seen {
  readonly cache: readonly Past<HostTensor | DeviceTensor>[];
  readonly shared: readonly Past<HostTensor | DeviceTensor>[];
}

/** A cache as programs read it. */
export interface SeenCache {
  seen(): Promise<Seen>;
  /** Told of a step's new keys and values, as the cache itself is. `own`: tokens of each row until then. */
  append(own: readonly number[], fresh: HostTensor): void;
  /** Gives its memory back. */
  release(): void;
}

/** Types of the keys and values of all layers. */
export const pastTypes = (model: Model, rows: Dim, capacity: (layer: number) => Dim): Past<TensorType>[] =>
  Array.from({ length: model.layers }, (_, layer) => {
    const type: TensorType = { dtype: "float32", shape: [rows, model.kvHeads, capacity(layer), model.headDim] };
    return { keys: type, values: type };
  });

/** Places of a layer's cache. */
export const capacityOf = (model: Model, layer: number): Dim =>
  dim(`capacity ${model.attention(layer).window ?? ""}`.trimEnd());

/** Host memory, which programs read in place. */
export const seenInPlace = (cache: KvCache, shared: Beginning | undefined): SeenCache => ({
  seen: async () => ({ cache: cache.views(), shared: shared?.views() ?? [] }),
  append: () => undefined,
  release: () => undefined,
});

/** Puts each row's new token behind those of a cache on the device. */
type Append = Program<object>;

/** Compiles `Append`; layers of one window have their places in common. */
export function compileAppend(device: Device, model: Model): Promise<Append> {
  const width = model.kvHeads * model.headDim;
  const batch = dim("batch");
  const windows = windowsOf(model);
  const types = {
    fresh: { dtype: "float32", shape: [batch, 2 * model.layers * width] } as TensorType,
    places: windows.map((): TensorType => ({ dtype: "int32", shape: [batch] })),
  };
  const state = { cache: pastTypes(model, batch, (layer) => capacityOf(model, layer)) };
  return device.compileStep(types, state, ({ fresh, places }, { cache }) => {
    const placed = (old: Tensor, at: number, place: Tensor): Tensor => {
      const token = ops.slice(fresh, 1, at * width, (at + 1) * width);
      const isThere = ops.equal(
        ops.reshape(ops.range(old.dim(2)), [old.dim(2), 1]),
        ops.reshape(place, [batch, 1, 1, 1]),
      );
      return ops.where(isThere, ops.reshape(token, [batch, model.kvHeads, 1, model.headDim]), old);
    };
    const next = cache.map(({ keys, values }, layer): Past => {
      const place = places[windows.indexOf(model.attention(layer).window)] as Tensor;
      return { keys: placed(keys, 2 * layer, place), values: placed(values, 2 * layer + 1, place) };
    });
    return { outputs: {}, state: { cache: next } };
  });
}

const windowsOf = (model: Model): readonly (number | undefined)[] => [
  ...new Set(Array.from({ length: model.layers }, (_, layer) => model.attention(layer).window)),
];

/**
 * A copy on the device of what a cache in host memory holds. A step hands it the new tokens alone; where rows have come, left or moved it is
 * made anew. Nothing of it is ever read back.
 */
export class CopiedCache implements SeenCache {
  private state: State | undefined;
  private version = 0;
  private shared: Record<string, DeviceTensor> = {};
  /** What the last step has made: brought there by the next one, so that no work is left over at the end. */
  private fresh: { readonly fresh: HostTensor; readonly places: readonly HostTensor[] } | undefined;

  constructor(
    private readonly device: Device,
    private readonly model: Model,
    private readonly program: () => Promise<Append>,
    private readonly of: KvCache,
    private readonly beginning: Beginning | undefined,
  ) {}

  async seen(): Promise<Seen> {
    const views = { cache: this.of.views(), shared: this.beginning?.views() ?? [] };
    const { fresh } = this;
    this.fresh = undefined;
    if (this.state === undefined || this.version !== this.of.version) {
      this.drop();
      this.version = this.of.version;
      this.state = new State(await this.device.uploadAll(leaves<HostTensor>({ cache: views.cache })));
    } else if (fresh !== undefined) await (await this.program()).run(fresh, this.state);
    for (const [path, view] of leaves<HostTensor>({ shared: views.shared })) {
      this.shared[path] ??= await this.device.upload(view);
    }
    const all = { ...this.state.current, ...this.shared };
    return mapNested(views, (_: HostTensor, path) => all[path] as DeviceTensor);
  }

  append(own: readonly number[], fresh: HostTensor): void {
    const places = windowsOf(this.model).map((window = Number.POSITIVE_INFINITY) =>
      tensor(
        "int32",
        [own.length],
        own.map((tokens) => tokens % (window - 1)),
      ),
    );
    this.fresh = { fresh, places };
  }

  release(): void {
    this.drop();
    for (const part of Object.values(this.shared)) part.dispose();
    this.shared = {};
  }

  private drop(): void {
    for (const part of Object.values(this.state?.current ?? {})) part.dispose();
    this.state = undefined;
  }
}
