import { z } from "zod";
import { model, operational } from "../choice.ts";
import { SourceOptions } from "../data/options.ts";
import { BASES } from "../models/storages.ts";
import { PROVIDERS } from "../runtime/providers.ts";

/** A data source; a plain string is its path. */
export const Source = z.preprocess(
  (value: string | z.input<typeof SourceOptions>) => (typeof value === "string" ? { path: value } : value),
  SourceOptions,
);

export const Count = z.int().positive();

/** What is computed on, which changes what is computed by rounding at most: left out of a run's identity. */
export const DeviceChoice = z.strictObject({
  provider: operational(z.enum(PROVIDERS).default("cpu").describe("Execution provider of ONNX Runtime")),
  threads: operational(Count.optional().describe("Threads of one program; all cores by default")),
});
export type DeviceChoice = z.infer<typeof DeviceChoice>;

/** What a training run writes about itself, which changes nothing of what it computes. */
export const ProfileChoice = z.strictObject({
  profile: operational(
    z
      .string()
      .min(1)
      .optional()
      .describe(
        "Prefix of files that say what each kernel of a training step costs: PREFIX.txt, and a trace for Perfetto",
      ),
  ),
});
export type ProfileChoice = z.infer<typeof ProfileChoice>;

export const RunChoice = z.strictObject({
  run: operational(z.string().min(1).describe("Folder of the run")),
  resume: operational(z.boolean().default(false).describe("Go on with the run that is in the folder")),
});

export const Model = model(
  z.string().min(1).describe("Run folder, Hugging Face folder, GGUF file, or hf:org/name[@revision][:file.gguf]"),
);

export const ConfigKeys = z.strictObject({
  ignoreConfigKeys: z
    .array(z.string().min(1))
    .optional()
    .describe(
      "Keys of the model's config.json that change nothing in what it computes, though they are not known here",
    ),
});

export const ModelChoice = z.strictObject({
  model: Model,
  ...ConfigKeys.shape,
  adapters: z
    .array(model(z.string().min(1)))
    .default([])
    .describe(
      "Bare LoRA adapters on top of the model, in the order in which they were trained: folders, or hf:org/name[@revision]",
    ),
});

/** What frozen weights are kept in. It changes the weights where they are not in that form already, so it determines the result. */
export const BaseChoice = z.strictObject({
  base: z
    .enum(BASES)
    .optional()
    .describe(
      "What the weight matrices that are not trained are kept in; as they are stored by default. int8 and int4 quantise in groups of 32, bfloat16 rounds; float32 is faster and needs more memory",
    ),
});
export type BaseChoice = z.infer<typeof BaseChoice>;

export const AvoidChoice = z.strictObject({
  avoid: z
    .array(Source)
    .default([])
    .describe("Data whose questions must not occur: rows that repeat one, exactly or nearly, are left out"),
});
