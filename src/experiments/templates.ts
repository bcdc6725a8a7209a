import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Template } from "../models/model-file.ts";
import { openSource, templateFor } from "../models/source.ts";
import { begunTemplate, checkSame } from "../stages/template.ts";
import type { ExperimentOptions } from "./options.ts";

/** What an experiment's alignments were written in when it was begun. */
function begunWith(out: string): Template | undefined {
  const folder = join(out, "align");
  const [run] = existsSync(folder) ? readdirSync(folder).sort() : [];
  return run === undefined ? undefined : begunTemplate(join(folder, run));
}

/**
 * Options with the templates that they leave open: one for all stages, the model's own wherever there is one. An experiment that was
 * begun goes on in the template that it was begun with.
 *
 * @throws {BoosterError} `TEMPLATE_DIFFERS` where the evaluation would ask in another template than was trained in
 */
export function withTemplates(options: ExperimentOptions): ExperimentOptions {
  const { out, model, align, attack, evaluate } = options;
  const aligned = align.template ?? begunWith(out) ?? templateFor(openSource(model));
  const attacked = attack.template ?? aligned;
  const asked = evaluate.template ?? attacked;
  if (evaluate.framing === undefined) {
    for (const trained of [aligned, attacked]) checkSame(trained, asked, "evaluate.template");
  }
  return {
    ...options,
    align: { ...align, template: aligned },
    attack: { ...attack, template: attacked },
    evaluate: { ...evaluate, template: asked },
  };
}
