import type { z } from "zod";
import type { TemplateOptions } from "../data/options.ts";
import type { EncodeOptions } from "../data/templates.ts";
import { createModel } from "../models/index.ts";
import { openSource, templateFor } from "../models/source.ts";
import { rowLimit } from "../stages/data.ts";
import type { ConfigKeys } from "../stages/options.ts";

/** How training would encode rows for this model. A folder that holds a tokenizer alone knows no longest row of its own. */
export function encodingFor(
  path: string,
  { ignoreConfigKeys, ...options }: TemplateOptions & z.output<typeof ConfigKeys>,
): EncodeOptions {
  const stored = openSource(path, ignoreConfigKeys);
  const tokenizer = stored.base.tokenizer();
  const config = stored.base.config();
  const model = config === undefined ? { maxPositions: Number.POSITIVE_INFINITY } : createModel(config);
  return rowLimit({ ...options, template: options.template ?? templateFor(stored), tokenizer, model });
}
