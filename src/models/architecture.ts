import type { Tensor } from "../autodiff/index.ts";
import type { Attention, Standing } from "../nn/index.ts";
import type { GgufLayout } from "./gguf.ts";
import type { Module, Place } from "./modules.ts";
import type { Weights } from "./weights.ts";

/** How queries meet keys: `layer` keeps apart what a cache holds for each. Heads lie side by side in the last axis. */
export type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Where tokens stand and what they see: all that training, padded batches, prompts and decoding differ in. */
export interface Where extends Standing {
  readonly attend: Attend;
  /** After the keys and values of the last layer only the tokens that `rows` picks out are computed. */
  readonly only?: Omit<Where, "only"> & { rows(x: Tensor): Tensor };
}

/** What a forward pass is given. */
export interface Forward {
  readonly weights: Weights;
  /** int32 `[tokens]` */
  readonly ids: Tensor;
  readonly where: Where;
  /** Compute in the backward pass again what is cheap to compute and large to keep. Default false. */
  readonly recompute?: boolean;
  /** Given what is put out at a place, returns what goes on from there: `[tokens or selected, hidden]`. The embedding's layer is -1. */
  readonly tap?: (place: Place, layer: number, output: Tensor) => Tensor;
  /** Told what goes into each linear layer, by its name: `[tokens or selected, in]`. */
  readonly observe?: (linear: string, input: Tensor) => void;
}

/** A causal language model: its sizes, its weights and its forward pass. */
export interface Model {
  readonly architecture: string;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  /** Where padding stands in Hugging Face's model; each at its own place in the row by default. */
  readonly paddingPosition?: number | undefined;
  /**
   * Where a row of its batch has more tokens than this, all rows of the batch are turned otherwise, from their first token on. Absent
   * where the length of rows changes nothing.
   */
  readonly longBeyond?: number | undefined;
  /** Shapes of all weights, under their Hugging Face names. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  /** Linear layers that may carry LoRA factors: module name to `[out, in]`. */
  readonly linears: ReadonlyMap<string, readonly [number, number]>;
  /** Every module that has weights, by its name. */
  readonly modules: ReadonlyMap<string, Module>;
  /** Weight of the embedding, `[vocabulary, hidden]`. */
  readonly embedding: string;
  /** Weight of the output head, `[vocabulary, hidden]`; the embedding's where they are tied. */
  readonly head: string;
  /** Set where the head's classes may hold together: what a row is to learn is then marks, see `marksOf`, and no class. */
  readonly marks?: true | undefined;
  /** Bounds the logits: `softcap tanh(logits / softcap)`. */
  readonly softcap?: number | undefined;
  /** How a layer's queries see keys; `where.attend` computes it everywhere. */
  attention(layer: number): Attention;
  /** Final, normalised hidden states: `[tokens or selected, hidden]`. */
  hidden(forward: Forward): Tensor;
  /** The norm before the output head: `[tokens, hidden]` to the same. */
  finalNorm(weights: Weights, x: Tensor): Tensor;
}

/** A family of models: one file and one row of `ARCHITECTURES`. */
export interface Architecture {
  /** `model_type` of config.json. */
  readonly name: string;
  /** Linear layers whose weights stand in Hugging Face's files as `[in, out]`, by the last part of their names. */
  readonly transposed?: readonly string[];
  /** How its GGUF files are laid out; absent where they are not read. */
  readonly gguf?: GgufLayout;
  /** @throws {BoosterError} `MODEL_CONFIG_INVALID` naming the field. */
  create(config: unknown): Model;
}
