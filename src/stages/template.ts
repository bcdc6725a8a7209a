import { BoosterError } from "../errors.ts";
import type { Template } from "../models/model-file.ts";
import { templateFor } from "../models/source.ts";
import { type Following, readDescription } from "../train/index.ts";
import type { Origin } from "./workbench.ts";

/** What was asked for, or else what the run in the folder began with. */
function askedTemplate({ run, template }: { readonly run: string; readonly template?: Template | undefined }) {
  return template ?? (readDescription(run)?.config as { readonly template?: Template } | undefined)?.template;
}

/** What a stage writes its examples in; another template than before is told, since the model then answers in the new one. */
export function trainingTemplate(
  options: Parameters<typeof askedTemplate>[0],
  origin: Origin,
  emit: Following["emit"],
): Template {
  const template = askedTemplate(options) ?? templateFor(origin);
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
export function testTemplate(
  options: Parameters<typeof askedTemplate>[0] & { readonly framing?: Template | undefined },
  origin: Origin,
): Template {
  if (options.framing !== undefined) return options.framing;
  const template = askedTemplate(options) ?? templateFor(origin);
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
