import type { WrittenFormat } from "../../formats/encode-tensor.ts";
import type { Model } from "../../models/index.ts";
import type { Template } from "../../models/model-file.ts";
import type { HostTensor } from "../../tensor/tensor.ts";
import type { Origin } from "../workbench.ts";

/** A model with its adapters multiplied in. */
export interface MergedModel {
  readonly origin: Origin;
  /** What the base alone is. */
  readonly plain: Model;
  readonly model: Model;
  /** The content of config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly template: Template;
  /** A weight, worked out when it is asked for. */
  load(name: string): HostTensor<"float32">;
}

/** What an export is made of. */
export interface Exporting extends MergedModel {
  readonly format: WrittenFormat;
  /** Bytes of tensors in one file. */
  readonly shardBytes: number;
  /** Called before each weight is read. */
  told(): void;
}
