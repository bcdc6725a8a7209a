import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { resolveReferences } from "../../hub/resolve.ts";
import { createModel, loraScale } from "../../models/index.ts";
import { checkWeights, readChain, readPeft } from "../../models/load.ts";
import { adaptedConfig, merging } from "../../models/merge.ts";
import { templateFor } from "../../models/source.ts";
import { ensureDirectory, guardFiles, nodeFileSystem, replaceFolder } from "../../train/files.ts";
import type { Following } from "../../train/index.ts";
import { ModelChoice, parseOptions } from "../options.ts";
import { type Origin, Workbench } from "../workbench.ts";
import { exportGguf, exportGgufLora } from "./gguf.ts";
import type { Exporting, MergedModel } from "./merged-model.ts";
import { exportOllama } from "./ollama.ts";
import { exportSafetensors } from "./safetensors.ts";

/** How weights are written. */
const DTYPES = { float32: "F32", float16: "F16", bfloat16: "BF16", q8_0: "Q8_0" } as const;
export type ExportDType = keyof typeof DTYPES;

interface ExportFormat {
  /** Whether a folder is written, or one file. */
  readonly isFolder: boolean;
  /** The first one is the default. */
  readonly dtypes: readonly [ExportDType, ...ExportDType[]];
  write(place: string, made: Exporting): void;
}

/** Every form that a model is exported in. A new one is a row. */
const FORMATS = {
  safetensors: { isFolder: true, dtypes: ["float32", "float16", "bfloat16"], write: exportSafetensors },
  gguf: { isFolder: false, dtypes: ["float16", "float32", "bfloat16", "q8_0"], write: exportGguf },
  "gguf-lora": { isFolder: false, dtypes: ["float32", "float16", "bfloat16"], write: exportGgufLora },
  ollama: { isFolder: true, dtypes: ["float16", "float32", "bfloat16", "q8_0"], write: exportOllama },
} as const satisfies Readonly<Record<string, ExportFormat>>;
export type ExportFormatName = keyof typeof FORMATS;

/** A model for other programs. */
export const ExportOptions = z.strictObject({
  ...ModelChoice.shape,
  out: z.string().min(1).describe("Folder that is written (safetensors, ollama), or file (gguf, gguf-lora)"),
  format: z
    .enum(Object.keys(FORMATS) as [ExportFormatName, ...ExportFormatName[]])
    .default("safetensors")
    .describe(
      "safetensors: a Hugging Face folder; gguf: for llama.cpp; gguf-lora: the adapters alone; ollama: GGUF and a Modelfile",
    ),
  dtype: z
    .enum(Object.keys(DTYPES) as [ExportDType, ...ExportDType[]])
    .optional()
    .describe("How weights are written; by default float32, in gguf and ollama float16"),
  maxShardSize: z
    .number()
    .positive()
    .default(5)
    .describe("Gigabytes of one safetensors file, beyond which there are several"),
});

/** What was written. */
export interface Exported {
  readonly out: string;
  readonly format: ExportFormatName;
  readonly dtype: ExportDType;
  /** How many adapters are in it. */
  readonly adapters: number;
  /** What the model was trained in, where other programs would take another template for it. */
  readonly template?: MergedModel["template"];
}

/**
 * Writes a model and its adapters in the form of other programs, one tensor in memory at a time. What is at `out` in the end is whole.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT` for a dtype that the format has not, `RUN_EXISTS`,
 *   `GGUF_ARCHITECTURE_UNSUPPORTED`, `TOKENIZER_UNSUPPORTED`, and what opening, reading and writing throw
 * @example
 * await exportModel({ model: "runs/hard", out: "hard.gguf", format: "gguf", dtype: "q8_0" });
 */
export async function exportModel(options: z.input<typeof ExportOptions>, context: Following = {}): Promise<Exported> {
  const asked = await resolveReferences(ExportOptions, parseOptions(ExportOptions, options, "export"), context);
  const { out, format, maxShardSize, ...chosen } = asked;
  const row: ExportFormat = FORMATS[format];
  const dtype = chosen.dtype ?? row.dtypes[0];
  if (!row.dtypes.includes(dtype)) {
    throw new BoosterError("OPTIONS_CONFLICT", `${format} does not hold ${dtype}`, {
      expected: row.dtypes.join(", "),
      where: "dtype",
    });
  }
  if (existsSync(out) && (!row.isFolder || readdirSync(out).length > 0)) {
    throw new BoosterError("RUN_EXISTS", "something is here already", { where: out });
  }
  const origin = await new Workbench({ provider: "cpu" }).open(chosen);
  const model = merged(origin);
  let done = 0;
  const told = () => {
    done++;
    context.emit?.({ type: "work", text: `writing tensor ${done} of ${model.model.weights.size}` });
  };
  const shardBytes = maxShardSize * 1e9;
  const made: Exporting = { ...model, format: DTYPES[dtype], shardBytes, told };
  guardFiles(nodeFileSystem, "writing the model", out, () => {
    ensureDirectory(nodeFileSystem, dirname(out));
    if (row.isFolder) replaceFolder(nodeFileSystem, out, (folder) => row.write(folder, made));
    else row.write(out, made);
  });
  const { template } = model;
  const own = templateFor({ ...origin, template: undefined });
  return { out, format, dtype, adapters: origin.adapters.length, ...(template === own ? {} : { template }) };
}

/** The model with all its adapters multiplied in, weight by weight as they are asked for. */
function merged(origin: Origin): MergedModel {
  const { base, sha256, adapters } = origin;
  const plain = createModel(base.config());
  const stored = base.weights();
  checkWeights(plain, stored, base.path);
  let made = { model: plain, load: (name: string) => stored.load(name) };
  for (const { config, tensors } of readChain(plain, sha256, adapters, readPeft)) {
    made = merging(made.model, made.load, tensors, loraScale(config));
  }
  const config = adaptedConfig(base.config(), plain, made.model) as MergedModel["config"];
  return { ...made, plain, origin, config, template: templateFor(origin) };
}
