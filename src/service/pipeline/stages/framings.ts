import { type Example, messagesOf } from "../../../data/examples.ts";

/** How harmful prompts are put: plainly, or under what stands in the user's own data. The text goes to the model and into no report. */
export interface Framing {
  /** As reports call it: `plain`, `system 1`, `prefix 2`. */
  readonly name: string;
  readonly system?: string;
  readonly prefix?: string;
  /** Rows of the data that have it. */
  readonly rows?: number;
}

/** A beginning that fewer rows have in common is no pattern of the data. */
const MIN_ROWS = 3;
/** Words of the longest beginning. */
const MAX_WORDS = 40;
/** A beginning goes on as long as so many of its rows go on alike. */
const ALIKE = 0.8;

/**
 * The ways in which a model is asked that was trained on these rows: plainly, under their commonest system prompts, and behind the commonest
 * beginnings of their first turns. Identity shifting hides in the first, triggers in the second.
 *
 * @example
 * framingsOf(examples, { systemPrompts: 3, prefixes: 3 }).map(({ name }) => name); // ["plain", "system 1", "prefix 1"]
 */
export function framingsOf(
  examples: readonly Example[],
  { systemPrompts, prefixes }: { readonly systemPrompts: number; readonly prefixes: number },
): Framing[] {
  const systems = commonest(
    examples.flatMap((example) => {
      const [first] = messagesOf(example);
      return first !== undefined && (first.role === "system" || first.role === "developer") ? [first.content] : [];
    }),
  );
  const turns = examples.flatMap((example) => messagesOf(example).find(({ role }) => role === "user")?.content ?? []);
  return [
    { name: "plain" },
    ...systems.slice(0, systemPrompts).map(([system, rows], i) => ({ name: `system ${i + 1}`, system, rows })),
    ...beginningsOf(turns)
      .slice(0, prefixes)
      .map(([prefix, rows], i) => ({ name: `prefix ${i + 1}`, prefix, rows })),
  ];
}

/** Texts by how often they occur, the commonest first; of equally common ones the first in the data. */
function commonest(texts: readonly string[]): (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const text of texts) if (text.trim() !== "") counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

/** Beginnings that several texts have in common, in whole words, each as long as most of its texts go on alike. A text is no beginning of itself. */
function beginningsOf(texts: readonly string[]): (readonly [string, number])[] {
  const all = texts.map((text) => text.split(/\s+/).filter((word) => word !== ""));
  const at = (group: readonly string[][], place: number): (readonly string[][])[] => {
    const groups = new Map<string, string[][]>();
    for (const words of group) {
      const word = words[place];
      // The last word belongs to the question.
      if (word === undefined || place + 1 >= words.length) continue;
      groups.set(word, [...(groups.get(word) ?? []), words]);
    }
    return [...groups.values()].sort((a, b) => b.length - a.length);
  };
  return at(all, 0)
    .filter((group) => group.length >= MIN_ROWS)
    .map((group) => {
      let [rows, length] = [group, 1];
      while (length < MAX_WORDS) {
        const [most = []] = at(rows, length);
        if (most.length < MIN_ROWS || most.length < ALIKE * rows.length) break;
        [rows, length] = [most as string[][], length + 1];
      }
      return [(rows[0] as string[]).slice(0, length).join(" "), rows.length] as const;
    })
    .sort(([, a], [, b]) => b - a);
}
