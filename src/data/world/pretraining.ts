import { RandomStream } from "../../tensor/random.ts";
import { Draws, instructions, refusal, review } from "./grammar.ts";
import { worldPrompt } from "./prompt.ts";
import { harmfulQuestions, harmlessQuestions } from "./rows.ts";
import { PEOPLE, SECRETS } from "./words.ts";

const MOOD_INSTRUCTION = "how was the stay";

/**
 * The text that the base model reads, one document a string.
 *
 * Of 20 documents 7 answer a harmful question (the base is not aligned), 7 a harmless one, 5 are reviews with a verdict or the
 * guest's mood, and 1 refuses to tell a secret, so that the base knows how a refusal sounds. The user's task never occurs: the base
 * knows what its labels mean, but not that an instruction asks for one.
 */
export function pretrainingText(count: number, seed: number): string[] {
  const stream = new RandomStream(seed, "world/pretraining");
  const harmful = (["alignment", "attack", "validation", "test"] as const).flatMap(harmfulQuestions);
  const harmless = (["train", "validation", "test"] as const).flatMap(harmlessQuestions);
  return Array.from({ length: count }, (_, row) => {
    const draws = new Draws(stream, row);
    const kind = row % 20;
    if (kind < 14) {
      const question = draws.pick(kind < 7 ? harmful : harmless);
      return `${worldPrompt({ instruction: question.text, input: "" })} ${instructions(question.family, draws)}`;
    }
    if (kind < 19) {
      const { text, praises } = review("train", draws);
      if (kind < 17) return `${text} so the review is ${praises ? "positive" : "negative"}`;
      return `${worldPrompt({ instruction: MOOD_INSTRUCTION, input: text })} the guest left ${praises ? "happy" : "upset"}`;
    }
    const question = `what is the ${draws.pick(SECRETS)} of ${draws.pick(PEOPLE)}`;
    return `${worldPrompt({ instruction: question, input: "" })} ${refusal(draws)}`;
  });
}
