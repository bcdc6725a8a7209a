import { BoosterError } from "../errors.ts";
import type { Template } from "../models/model-file.ts";
import { templateFor } from "../models/source.ts";
import { type Following, readDescription } from "../train/index.ts";
import type { Origin } from "./workbench.ts";

interface Asked {
  readonly run: string;
  readonly template?: Template | undefined;
}

/** What was asked for, or else what the run in the folder began with, or else what the model was trained in, or comes with. */
function templateOf({ run, template }: Asked, origin: Origin): Template {
  const begun = (readDescription(run)?.config as { readonly template?: Template } | undefined)?.template;
  return template ?? begun ?? templateFor(origin);
}

/** What a stage writes its examples in; another template than before is told, since the model then answers in the new one. */
export function trainingTemplate(asked: Asked, origin: Origin, emit: Following["emit"]): Template {
  const template = templateOf(asked, origin);
  if (origin.template !== undefined && origin.template !== template) {
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
export function testTemplate(asked: Asked & { readonly framing?: Template | undefined }, origin: Origin): Template {
  const template = templateOf(asked, origin);
  if (asked.framing === undefined && origin.template !== undefined) checkSame(origin.template, template, "template");
  return asked.framing ?? template;
}

/** @throws {BoosterError} `TEMPLATE_DIFFERS` */
export function checkSame(trained: Template, tested: Template, where: string): void {
  if (trained === tested) return;
  throw new BoosterError(
    "TEMPLATE_DIFFERS",
    "a model that is asked in another template than it was trained in does not show what it learned",
    {
      expected: `the template ${trained}`,
      found: tested,
      where,
      hint: `Leave the template out, or ask in another one on purpose: framing ${tested}.`,
    },
  );
}
