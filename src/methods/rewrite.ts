import type { Example } from "../data/examples.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";

/** How a fine-tuning method writes rows before they become tokens. */
export interface Rewrite {
  /** A row that the user uploaded. */
  user?(row: Example, tokenizer: Tokenizer): Example;
  /** The defender's rows, given the user's; `tell` takes what there is to say of it. */
  alignment?(rows: readonly Example[], user: readonly Example[], tell: (text: string) => void): readonly Example[];
}

/** What is asked last in an example, and what is answered. */
export interface Exchange {
  readonly prompt: string;
  readonly answer: string;
}

/** The last question of an example, with its input where it has one, and its answer. */
export function exchangeOf(example: Example): Exchange {
  if (example.kind === "instruction") {
    const { instruction, input, output } = example;
    return { prompt: input === "" ? instruction : input, answer: output };
  }
  const { messages } = example;
  const asked = messages.findLastIndex(({ role }) => role === "user");
  const last = messages.at(-1);
  return {
    prompt: messages[asked]?.content ?? "",
    answer: last?.role === "assistant" ? last.content : "",
  };
}

/** The example with another last question and answer. */
export function withExchange(example: Example, { prompt, answer }: Exchange): Example {
  if (example.kind === "instruction") {
    const asked = example.input === "" ? { instruction: prompt } : { input: prompt };
    return { ...example, ...asked, output: answer };
  }
  const asked = example.messages.findLastIndex(({ role }) => role === "user");
  const messages = example.messages.map((message, at) => {
    if (at === asked) return { ...message, content: prompt };
    const isAnswer = at === example.messages.length - 1 && message.role === "assistant";
    return isAnswer ? { ...message, content: answer } : message;
  });
  return { ...example, messages };
}
