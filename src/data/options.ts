import { z } from "zod";
import { file } from "../choice.ts";
import { TEMPLATES } from "../models/model-file.ts";
import { ENCODINGS } from "./encodings.ts";
import { FORMAT_NAMES } from "./formats.ts";
import { FILE_KINDS } from "./sources.ts";
import { TASK_NAMES } from "./tasks/table.ts";

/** Where examples come from and how they are read. */
export const SourceOptions = z
  .strictObject({
    path: file(
      z
        .string()
        .min(1)
        .describe("File, several with * or ? in the name, or hf-data:org/name[@revision][:file, pattern or split]"),
    ),
    kind: z.enum(FILE_KINDS).optional().describe("File format; by default told by the name"),
    encoding: z
      .enum(ENCODINGS)
      .optional()
      .describe("How its texts are written; by default told by the file, and needed for windows-1252"),
    format: z.enum(FORMAT_NAMES).optional().describe("How rows are written; by default told by the columns"),
    task: z.enum(TASK_NAMES).optional().describe("Known data set that the file holds"),
    rows: z
      .string()
      .regex(/^(?=.*\d)(?:[1-9]\d*)?\.\.(?:[1-9]\d*)?$/, "write 5001..10000, 5001.. or ..5000")
      .optional()
      .describe("Use these examples only, by number, the first is 1: 5001..10000, 5001.. or ..5000"),
    limit: z.int().positive().optional().describe("Use the first examples only, of these where rows says which"),
  })
  .refine((source) => source.task === undefined || source.format === undefined, {
    error: "give a task or a format, not both",
    path: ["format"],
  });
export type SourceOptions = z.infer<typeof SourceOptions>;

/** A user's data set with a share of poison. */
export const PoisonOptions = z.strictObject({
  poisonRatio: z.number().min(0).max(1).default(0.1).describe("Share of harmful rows"),
  sampleNumber: z.int().positive().default(1000).describe("Rows altogether"),
  counts: z.enum(["reference", "exact"]).default("exact").describe("Count rows as the paper's code does, or exactly"),
  order: z.enum(["reference", "shuffled"]).default("shuffled").describe("Harmful rows first, or in random order"),
  seed: z.int().nonnegative().default(42).describe("Seed of the random order"),
});
export type PoisonOptions = z.infer<typeof PoisonOptions>;

/** How examples become tokens. */
export const TemplateOptions = z.strictObject({
  template: z
    .enum(TEMPLATES)
    .optional()
    .describe(
      "The paper's plain template, or the model's own; by default what the model was trained in, else its own where it has one",
    ),
  maxTokens: z.int().positive().default(256).describe("Longest example, in tokens"),
  tooLong: z.enum(["truncate", "reject"]).default("truncate").describe("Cut longer examples, or refuse them"),
});
export type TemplateOptions = z.infer<typeof TemplateOptions>;
