import type { z } from "zod";
import { resolveReferences } from "../../hub/resolve.ts";
import type { LoadedModel } from "../../models/index.ts";
import type { Template } from "../../models/model-file.ts";
import { templateFor } from "../../models/source.ts";
import { asQuestion, loadDataSet, type Question, teller } from "../data.ts";
import { type DeviceChoice, type ModelChoice, parseOptions } from "../options.ts";
import { checkSame } from "../template.ts";
import { type Context, type Origin, Workbench } from "../workbench.ts";

/** What every look into a model is told. */
type Look = z.output<typeof ModelChoice> & DeviceChoice & { readonly template?: Template | undefined };

/** A model with all of its adapters merged, and how it is asked. */
export interface Opened {
  readonly origin: Origin;
  readonly base: LoadedModel;
  readonly template: Template;
  /** The first questions of a source. */
  questions(option: string, source: Parameters<typeof loadDataSet>[0], rows: number): Promise<Question[]>;
}

/** Options checked and completed, their references to the hub as folders. */
export const resolved = async <T extends z.ZodObject>(
  schema: T,
  options: unknown,
  what: string,
  context: Context,
): Promise<z.output<T>> => resolveReferences(schema, parseOptions(schema, options, what), context);

/** Opens a model to look into it. Throws what opening and loading throw. */
export async function openToLook(chosen: Look, context: Context): Promise<Opened> {
  const bench = context.bench ?? new Workbench(chosen);
  const origin = await bench.open(chosen);
  const template = chosen.template ?? templateFor(origin);
  checkSame(origin.template ?? template, template, "template");
  const { base } = await bench.start(origin, "merge", { purpose: "use" });
  return {
    origin,
    base,
    template,
    async questions(option, source, rows) {
      const { examples } = await loadDataSet(source, [], teller(context.emit, option));
      return examples.slice(0, rows).map((example) => asQuestion(example, { ...base, template }));
    },
  };
}
