import type { z } from "zod";
import { choose, filesIn } from "../choice.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { METHODS } from "../methods/registry.ts";
import { openCurve } from "./curve.ts";
import { describeRun, hashesOfFiles } from "./describe-run.ts";
import { CurveOptions, FinetuneOptions, parseOptions } from "./options.ts";
import { loadStreams, type Rewriting } from "./streams.ts";
import { trainingTemplate } from "./template.ts";
import { runTraining, type TrainingOutcome, type TrainingRun } from "./training-run.ts";
import { openUpload } from "./upload.ts";
import { openValidation, together } from "./validation.ts";
import { type Context, hashesOf, Workbench } from "./workbench.ts";

/**
 * Stage 2: a user's fine-tuning in a run folder, a share of the rows harmful: the attack that a defence must stand.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `DATA_MISSING`, `DATA_TOO_FEW_ROWS`, and what loading, `RunDirectory.open` and
 * `train` throw
 * @example
 * await finetune({ run: "runs/attack", model: "runs/hard", task: "reviews.jsonl", harmful: "attack.jsonl", poisonRatio: 0.1, sampleNumber: 500 });
 */
export const finetune = async (
  options: z.input<typeof FinetuneOptions>,
  context: Context = {},
): Promise<TrainingOutcome> => runTraining(await finetuneJob(options, context), context);

/** The training that `finetune` does. Throws what it throws before training. */
export async function finetuneJob(options: z.input<typeof FinetuneOptions>, context: Context): Promise<TrainingRun> {
  const asked = await resolveReferences(FinetuneOptions, parseOptions(FinetuneOptions, options, "finetune"), context);
  const bench = context.bench ?? new Workbench(asked);
  const origin = await bench.open(asked);
  const chosen = { ...asked, template: trainingTemplate(asked, origin, context.emit) };
  const start = await bench.start(origin, chosen.adapterPolicy === "continue" ? "keep" : "merge", {
    form: chosen.base,
  });
  const { base } = start;
  const encoding = { ...chosen, tokenizer: base.tokenizer, model: base.model };
  const method = choose(METHODS, chosen.method);
  const upload = await openUpload(chosen, start, encoding, method.rewrite, context);
  const curve = chosen.curve && (await openCurve(chosen.curve, encoding, base.device, upload.poisoned, upload.ask));
  const validation = chosen.validation && (await openValidation(chosen.validation, encoding, upload.rows, context));
  const [user = ""] = method.streams;
  const defender = {
    alignment: { option: "alignment", source: chosen.alignment },
    harmful: { option: "defenderHarmful", source: chosen.defenderHarmful },
    general: { option: "general", source: chosen.general },
  };
  const rewrite: Rewriting = (stream, rows, tell) =>
    (stream === "alignment" && method.rewrite?.alignment?.(rows, upload.examples, tell)) || rows;
  const { defenderAvoid = [] } = chosen;
  const others = await loadStreams(method, without(defender, user), encoding, defenderAvoid, context, rewrite);
  const hashes = {
    ...hashesOf(origin),
    mix: upload.sha256,
    ...(await hashesOfFiles([
      ...filesIn(FinetuneOptions.shape.moderation, chosen.moderation),
      ...filesIn(CurveOptions.shape.moderator, chosen.curve?.moderator),
    ])),
    ...others.hashes,
    ...curve?.hashes,
    ...validation?.hashes,
  };
  const measured = [curve, validation].filter((each) => each !== undefined);
  return {
    options: chosen,
    description: describeRun("finetune", FinetuneOptions, chosen, hashes),
    start,
    aligns: false,
    streams: { [user]: upload.rows, ...others.rows },
    data: {
      ...upload.record,
      ...(Object.keys(others.records).length === 0 ? {} : { defender: others.records }),
    },
    files: upload.files,
    ...(measured.length === 0
      ? {}
      : {
          evaluation: async (trainee) => together(await Promise.all(measured.map((each) => each.evaluation(trainee)))),
        }),
  };
}

const without = <T>(table: Readonly<Record<string, T>>, key: string): Record<string, T> =>
  Object.fromEntries(Object.entries(table).filter(([name]) => name !== key));
