import { z } from "zod";
import type { Page } from "../../store/context.ts";
import { queryNumber } from "../json.ts";

/** A list as clients read it: they go on after its last id, and stop where `has_more` is false. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    object: z.literal("list"),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });

export function pageReply<Row, Item extends { readonly id: string }>(
  { data, hasMore }: Page<Row>,
  item: (row: Row) => Item,
) {
  const items = data.map(item);
  return {
    object: "list" as const,
    data: items,
    has_more: hasMore,
    first_id: items[0]?.id ?? null,
    last_id: items.at(-1)?.id ?? null,
  };
}

/** What a list may be asked for. */
export const pageQuery = (most: number, byDefault: number) => ({
  after: z.string().min(1).max(200).optional(),
  limit: queryNumber(1, most, byDefault),
});
