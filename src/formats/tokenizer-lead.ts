import { z } from "zod";
import { BoosterError } from "../errors.ts";

const Id = z.int().nonnegative();
const Pair = z.object({ cls: z.tuple([z.string(), Id]) });
const Template = z.object({
  single: z.array(z.looseObject({ SpecialToken: z.object({ id: z.string() }).optional() })),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(Id) })),
});

/** Ids that a post-processor writes in front of every text. */
function leadingIds(processor: unknown): readonly number[] {
  const { type } = z.looseObject({ type: z.string() }).nullish().parse(processor) ?? {};
  if (type === "Sequence") {
    const { processors } = z.object({ processors: z.array(z.unknown()) }).parse(processor);
    // Each writes around what the one before wrote.
    return processors.toReversed().flatMap(leadingIds);
  }
  if (type === "BertProcessing" || type === "RobertaProcessing") return [Pair.parse(processor).cls[1]];
  if (type !== "TemplateProcessing") return [];
  const { single, special_tokens } = Template.parse(processor);
  const end = single.findIndex(({ SpecialToken }) => SpecialToken === undefined);
  return single
    .slice(0, Math.max(0, end))
    .flatMap(({ SpecialToken }) => special_tokens[SpecialToken?.id ?? ""]?.ids ?? []);
}

/**
 * The id that a post-processor writes in front of every text.
 *
 * @throws {BoosterError} `TOKENIZER_MALFORMED`, `TOKENIZER_UNSUPPORTED` where there are several
 */
export function leadingId(processor: unknown): number | undefined {
  const ids = leadingIds(processor);
  if (ids.length <= 1) return ids[0];
  throw new BoosterError("TOKENIZER_UNSUPPORTED", "the tokenizer begins a text with several tokens", {
    expected: "at most one",
    found: ids.join(", "),
    where: "post_processor in tokenizer.json",
  });
}
