import type { z } from "zod";
import { choose } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { METHODS } from "../methods/registry.ts";
import { describeRun } from "./describe-run.ts";
import { AlignOptions, parseOptions } from "./options.ts";
import { loadPairStreams } from "./pairs.ts";
import { loadStreams, type Streams } from "./streams.ts";
import { trainingTemplate } from "./template.ts";
import { runTraining, type TrainingOutcome, type TrainingRun } from "./training-run.ts";
import { type Context, hashesOf, Workbench } from "./workbench.ts";

/**
 * Stage 1: aligns a base model in a run folder, with plain SFT or with a method that hardens it.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT`, `DATA_MISSING`, and what loading, `RunDirectory.open` and `train` throw
 * @example
 * await align({ run: "runs/hard", model: "assets/world", method: "booster", alignment: "refusals.jsonl", harmful: "harmful.jsonl" });
 */
export const align = async (options: z.input<typeof AlignOptions>, context: Context = {}): Promise<TrainingOutcome> =>
  runTraining(await alignJob(options, context), context);

/** The training that `align` does. Throws what it throws before training. */
export async function alignJob(options: z.input<typeof AlignOptions>, context: Context): Promise<TrainingRun> {
  const asked = await resolveReferences(AlignOptions, parseOptions(AlignOptions, options, "align"), context);
  const bench = context.bench ?? new Workbench(asked);
  const method = choose(METHODS, asked.method);
  if (method.stage !== "align") {
    throw new BoosterError("OPTIONS_CONFLICT", `${method.name} is a method of fine-tuning, not of alignment`, {
      where: "method",
      hint: "Align with another method, and give this one to the fine-tuning (booster finetune).",
    });
  }
  const origin = await bench.open(asked);
  const chosen = { ...asked, template: trainingTemplate(asked, origin, context.emit) };
  const start = await bench.start(origin, "merge", { form: chosen.base });
  const { base } = start;
  const encoding = { ...chosen, tokenizer: base.tokenizer, model: base.model };
  const single = await loadStreams(
    method,
    {
      alignment: { option: "alignment", source: chosen.alignment },
      harmful: { option: "harmful", source: chosen.harmful },
      general: { option: "general", source: chosen.general },
    },
    encoding,
    chosen.avoid,
    context,
  );
  const paired = await loadPairStreams(method, chosen, encoding, chosen.avoid, context);
  const merged = <K extends keyof Streams>(part: K) => ({ ...single[part], ...paired[part] });
  return {
    options: chosen,
    description: describeRun("align", AlignOptions, chosen, { ...hashesOf(origin), ...merged("hashes") }),
    start,
    aligns: true,
    streams: merged("rows"),
    data: merged("records"),
  };
}
