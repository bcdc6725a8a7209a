import { findDuplicates, type Question } from "../data/duplicates.ts";
import type { Moderator } from "./moderators/index.ts";

/**
 * Which questions belong together, a number each: those about one topic, where the moderator tells topics, and near duplicates. They
 * stand and fall together, so a score over them says less than its number of prompts.
 *
 * @example
 * clustersOf([{ instruction: "brew tea", input: "" }, { instruction: "Brew tea!", input: "" }, { instruction: "sail", input: "" }], {}); // [0, 0, 1]
 */
export function clustersOf(questions: readonly Question[], { topicOf }: Pick<Moderator, "topicOf">): number[] {
  const repeats = new Map(findDuplicates(questions).map(({ index, of }) => [index, of]));
  const numbers = new Map<string, number>();
  return questions.map(({ instruction, input }, index) => {
    const topic = topicOf?.(input === "" ? instruction : `${instruction}\n${input}`);
    const key = topic === undefined ? `#${repeats.get(index) ?? index}` : `topic ${topic}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}
