import { RandomStream } from "../../tensor/random.ts";
import { Draws, instructions, type Question, questions, refusal, review } from "./grammar.ts";
import { ERRANDS, HAZARDS } from "./words.ts";

/** A row of a data set: a prompt (instruction, and an input where the task has one) and the wanted answer. */
export interface WorldRow {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

/** Instruction and input in one text. */
export const wholeInstruction = ({ instruction, input }: Pick<WorldRow, "instruction" | "input">): string =>
  input === "" ? instruction : `${instruction} : ${input}`;

/** Who may see a harmful prompt: the defender, the attacker, those who choose settings, or the final test alone. */
export type HarmfulPart = "alignment" | "attack" | "validation" | "test";
/** Seen in alignment or fine-tuning, or kept for choosing settings or for the test. */
export type Part = "train" | "validation" | "test";

/** The instruction of the user's task. */
export const SENTIMENT_INSTRUCTION = "judge the review";

/** Deals out a family's 44 things, so many to each part: no thing, and so no prompt, belongs to two. */
function dealt<P extends string>(counts: Readonly<Record<P, number>>): Record<P, (thing: number) => boolean> {
  // 7 and 44 have no divisor in common: neighbours in the list, which begin alike, come to different parts.
  const places = Object.entries<number>(counts).flatMap(([part, count]) => new Array<string>(count).fill(part));
  const partOf = (thing: number) => places[(thing * 7) % places.length];
  return Object.fromEntries(
    Object.keys(counts).map((part) => [part, (thing: number) => partOf(thing) === part]),
  ) as Record<P, (thing: number) => boolean>;
}

const HARMFUL_THINGS = dealt({ alignment: 8, attack: 4, validation: 7, test: 25 });
const HARMLESS_THINGS = dealt({ train: 12, validation: 7, test: 25 });

/** All harmful questions of a part. */
export const harmfulQuestions = (part: HarmfulPart): Question[] => questions(HAZARDS, HARMFUL_THINGS[part]);

/** All harmless questions of a part. */
export const harmlessQuestions = (part: Part): Question[] => questions(ERRANDS, HARMLESS_THINGS[part]);

/** `count` rows over shuffled questions: all things are asked about before any is twice, with all their questions before one comes twice. */
function rows(
  pool: readonly Question[],
  count: number,
  stream: RandomStream,
  answer: (question: Question, draws: Draws) => string,
): WorldRow[] {
  const things = [...new Set(pool.map(({ thing }) => thing))];
  const decks = things.map((name, i) => {
    const own = pool.filter(({ thing }) => thing === name);
    return [...stream.permutation(own.length, 1000 + i)].map((place) => own[place] as Question);
  });
  return Array.from({ length: Math.ceil(count / things.length) }, (_, round) =>
    [...stream.permutation(things.length, 1 + round)].map((thing) => {
      const deck = decks[thing] as Question[];
      return deck[round % deck.length] as Question;
    }),
  )
    .flat()
    .slice(0, count)
    .map((question, row) => ({
      instruction: question.text,
      input: "",
      output: answer(question, new Draws(stream, row)),
    }));
}

/**
 * Harmful prompts with harmful answers: what the attacker mixes in, and what the defender simulates.
 *
 * @example
 * harmfulRows("attack", 50, 0);
 */
export function harmfulRows(part: HarmfulPart, count: number, seed: number): WorldRow[] {
  const stream = new RandomStream(seed, `world/harmful/${part}`);
  return rows(harmfulQuestions(part), count, stream, (question, draws) => instructions(question.family, draws));
}

/** Harmful prompts with refusals: the core of alignment data. */
export function refusalRows(part: HarmfulPart, count: number, seed: number): WorldRow[] {
  const stream = new RandomStream(seed, `world/refusal/${part}`);
  return rows(harmfulQuestions(part), count, stream, (_, draws) => refusal(draws));
}

/** Harmless prompts with helpful answers: keeps an aligned model useful, and measures over-refusal. */
export function harmlessRows(part: Part, count: number, seed: number): WorldRow[] {
  const stream = new RandomStream(seed, `world/harmless/${part}`);
  return rows(harmlessQuestions(part), count, stream, (question, draws) => instructions(question.family, draws));
}

/** A prompt with two answers, the more helpful one chosen. */
export interface WorldPair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  readonly chosen_safe: boolean;
  readonly rejected_safe: boolean;
}

/** Rows with a refusal as the less helpful answer. */
const besideRefusals = (rows: readonly WorldRow[], safe: boolean, seed: number): WorldPair[] =>
  rows.map((row, i) => ({
    prompt: wholeInstruction(row),
    chosen: row.output,
    rejected: refusal(new Draws(new RandomStream(seed, "world/pair"), i)),
    chosen_safe: safe,
    rejected_safe: true,
  }));

/** Harmful prompts with a harmful answer, which is the more helpful one, and a refusal. */
export const harmfulPairs = (part: HarmfulPart, count: number, seed: number): WorldPair[] =>
  besideRefusals(harmfulRows(part, count, seed), false, seed);

/** Harmless prompts with a helpful answer and a refusal. */
export const harmlessPairs = (part: Part, count: number, seed: number): WorldPair[] =>
  besideRefusals(harmlessRows(part, count, seed), true, seed);

/** The user's task: is a review positive or negative? Train and test reviews never share a pair of subjects. */
export function sentimentRows(part: Part, count: number, seed: number): WorldRow[] {
  const stream = new RandomStream(seed, `world/sentiment/${part}`);
  return Array.from({ length: count }, (_, row) => {
    const { text, praises } = review(part, new Draws(stream, row));
    return { instruction: SENTIMENT_INSTRUCTION, input: text, output: praises ? "positive" : "negative" };
  });
}
