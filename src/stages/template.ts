import { BoosterError } from "../errors.ts";
import type { Template } from "../models/model-file.ts";
import { templateFor } from "../models/source.ts";
import { type Following, readDescription } from "../train/index.ts";
import type { Origin } from "./workbench.ts";

/** What the run in a folder began with, where there is one. */
export const begunTemplate = (run: string): Template | undefined =>
  (readDescription(run)?.config as { readonly template?: Template } | undefined)?.template;

interface Asked {
  readonly run: string;
  readonly template?: Template | undefined;
}

/** What was asked for, or else what was begun with, or what the model has. */
const templateOf = ({ run, template }: Asked, origin: Origin): Template =>
  template ?? begunTemplate(run) ?? templateFor(origin);

/** What a stage writes its examples in; another template than before is told, since the model then answers in the new one. */
export function trainingTemplate(options: Asked, origin: Origin, emit: Following["emit"]): Template {
  const template = templateOf(options, origin);
  if (template !== (origin.template ?? template)) {
    const text = `the model was trained in the template ${origin.template}, and is trained on in ${template}`;
    emit?.({ type: "notice", text });
  }
  return template;
}

/**
 * What questions are put in: the template that the model was trained in, or the framing that is chosen on purpose.
 *
 * @throws {BoosterError} `TEMPLATE_DIFFERS` where it would be another one by mistake
 */
export function testTemplate(options: Asked & { readonly framing?: Template | undefined }, origin: Origin): Template {
  if (options.framing !== undefined) return options.framing;
  const template = templateOf(options, origin);
  checkSame(origin.template ?? template, template, "template");
  return template;
}

/** @throws {BoosterError} `TEMPLATE_DIFFERS` */
export function checkSame(trained: Template, tested: Template, where: string): void {
  if (trained === tested) return;
  throw new BoosterError("TEMPLATE_DIFFERS", "the model was trained in another template than it would be asked in", {
    expected: `the template ${trained}`,
    found: tested,
    where,
    hint: `Leave the template out, or ask in another one on purpose: framing ${tested}.`,
  });
}
