import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { ESTIMATED, type Estimate, type Estimated, estimate, type Fit } from "../../stages/estimate.ts";
import { AlignOptions, FinetuneOptions } from "../../stages/options.ts";
import { duration } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { type ConfigFile, readConfigFile } from "../config-file.ts";
import { fieldsOf } from "../fields.ts";
import { columns } from "../output.ts";
import { resolveConfig } from "../resolve-config.ts";

const run = z.string().min(1).default(".");
const SCHEMAS = { align: AlignOptions.extend({ run }), finetune: FinetuneOptions.extend({ run }) };

/** Told by the option that each stage cannot do without. */
function stageOf({ values, path }: ConfigFile): Estimated {
  if ("task" in values) return "finetune";
  if ("alignment" in values || "pairs" in values) return "align";
  throw new BoosterError("CONFIG_INVALID", "this is the configuration of no training", {
    expected: `the options of booster ${ESTIMATED.join(" or booster ")}`,
    found: Object.keys(values).slice(0, 10).join(", ") || "nothing",
    where: path,
    hint: "What an experiment would do says: booster experiment --config FILE --dry-run",
  });
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

const PARTS: Readonly<Record<keyof Estimate["memory"], string>> = {
  process: "Node, ONNX Runtime",
  weights: "weights of the model",
  training: "trained weights, moments, a checkpoint",
  program: "the compiled step",
  results: "results of the largest step",
};

function describe({ steps, seconds, untried, bytes, memory, available, change }: Fit): string {
  const parts = Object.entries(PARTS).map(([part, text]) => [
    `  ${text}`,
    gigabytes(memory[part as keyof typeof PARTS]),
  ]);
  const lines = [
    columns([["memory at its peak", gigabytes(bytes)], ...parts, ["available", gigabytes(available)]]),
    "",
    `time: ${duration(seconds)} for ${steps} steps, ${(seconds / steps).toPrecision(2)} s each, on this machine as busy as it is now`,
    ...(untried === undefined ? [] : [`  at the least: no step could be tried on a few layers (${untried})`]),
  ];
  if (bytes <= available) return lines.join("\n");
  if (change === undefined) return [...lines, "It does not fit, and neither does anything that was tried."].join("\n");
  const flags = Object.entries(change.options).map(([name, value]) => `${name}: ${value}`);
  const { bytes: then, seconds: longer } = change.estimate;
  return [...lines, `It does not fit. This does: ${flags.join(", ")} (${gigabytes(then)}, ${duration(longer)})`].join(
    "\n",
  );
}

/** `booster estimate` */
export const command = defineCommand({
  details: `Says what a training run will take on this machine, memory and time, and what to change where it does not fit. It reads the data,
traces the programs and tries a few steps on the model's first layers; nothing is trained or written. Start-up, a guard and what is measured along the way are not in the time.`,
  examples: [
    "booster estimate align.yaml  # the file that booster align --config takes",
    "booster estimate attack.yaml --json  # of a fine-tuning, for a program",
  ],
  options: z.strictObject({ file: z.string().min(1).describe("Configuration file of an alignment or a fine-tuning") }),
  positional: ["file"],
  async run({ file }, { output }) {
    const config = readConfigFile(file);
    const stage = stageOf(config);
    const options = resolveConfig(SCHEMAS[stage], fieldsOf(SCHEMAS[stage]), config, []);
    const fit = await estimate(stage, options, { emit: (event) => output.progress.show(event) });
    output.progress.finish();
    output.result({ ...fit }, () => describe(fit));
  },
});
