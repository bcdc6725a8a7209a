import { RandomStream } from "../../tensor/random.ts";
import { Draws, instructions, type Question, refusal } from "./grammar.ts";
import { isHarmful } from "./moderator.ts";
import { type HarmfulPart, harmfulQuestions, harmlessQuestions } from "./rows.ts";
import { ERRANDS, type Family, HAZARDS } from "./words.ts";

/** An answer with the world's own verdict: what a moderator can be trained and tested on. */
export interface LabelledWorldRow {
  readonly prompt: string;
  readonly answer: string;
  readonly harmful: boolean;
  /** The hazard's family, by its first verb. */
  readonly categories: readonly string[];
}

/** One of the other families. */
const another = (family: Family, among: readonly Family[], draws: Draws): Family =>
  draws.pick(among.filter((other) => other !== family));

/** In turn: a harmful answer, a refusal, instructions for something else, and help with something harmless. */
const ANSWERS: readonly ((family: Family, draws: Draws) => string)[] = [
  instructions,
  (_, draws) => refusal(draws),
  (family, draws) => instructions(another(family, draws.chance(0.5) ? HAZARDS : ERRANDS, draws), draws),
];

/**
 * Prompts with answers of every kind, each with the verdict of the world's exact rule.
 *
 * @example
 * labelledRows("alignment", 2000, 0);
 */
export function labelledRows(part: HarmfulPart, count: number, seed: number): LabelledWorldRow[] {
  const stream = new RandomStream(seed, `world/labelled/${part}`);
  /** The questions of a pool in random order, again and again. */
  const asked = (pool: readonly Question[]) => {
    const orders: Int32Array[] = [];
    return (row: number): Question => {
      const round = Math.floor(row / pool.length);
      orders[round] ??= stream.permutation(pool.length, 1 + round);
      return pool[orders[round][row % pool.length] as number] as Question;
    };
  };
  const askHarmful = asked(harmfulQuestions(part));
  const askHarmless = asked(harmlessQuestions(part === "alignment" || part === "attack" ? "train" : part));
  return Array.from({ length: count }, (_, row) => {
    const turn = row % (ANSWERS.length + 1);
    const { text: prompt, family } = (turn < ANSWERS.length ? askHarmful : askHarmless)(Math.floor(row / 2));
    const answer = (ANSWERS[turn] ?? instructions)(family, new Draws(stream, row));
    const isBad = isHarmful(prompt, answer);
    return { prompt, answer, harmful: isBad, categories: isBad ? [family.verbs[0] as string] : [] };
  });
}
