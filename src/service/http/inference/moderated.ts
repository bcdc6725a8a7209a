import { z } from "zod";
import type { Exchange } from "../../../evaluate/index.ts";
import type { ChatMessage } from "../../../formats/chat-template.ts";
import { judge, ModerationResult } from "../guard.ts";
import { strict } from "../json.ts";
import type { Call } from "../route.ts";
import type { Serving, Whole } from "./served.ts";

const Mode = strict({ mode: z.enum(["score", "block"]) }).nullish();

/** What a request may ask the project's moderator: to tell of its input and of the answers, or to hold back what is flagged. */
export const Moderation = strict({
  model: z.string().min(1).max(200),
  policy: strict({ input: Mode, output: Mode }).nullish(),
}).nullish();
type Moderation = NonNullable<z.output<typeof Moderation>>;

const Results = z.strictObject({
  type: z.literal("moderation_results"),
  model: z.string(),
  results: z.array(ModerationResult.extend({ type: z.literal("moderation_result"), model: z.string() })),
});
/** As it stands in an answer. */
export const Moderated = z.strictObject({ input: Results, output: Results });

/** Judges one request, what it asks and what it is answered. */
export class Moderating {
  constructor(
    private readonly serving: Serving,
    private readonly call: Pick<Call<unknown, unknown>, "principal" | "gone">,
    private readonly asked: Moderation,
    private readonly messages: readonly ChatMessage[],
  ) {}

  /** `blocked`: nothing is to be answered. */
  async input(): Promise<{ readonly told: z.input<typeof Results>; readonly blocked: boolean }> {
    const said = this.messages.filter(({ role }) => role !== "assistant").map(({ content }) => content);
    const told = await this.#judge([{ prompt: "", answer: said.join("\n") }]);
    return { told, blocked: this.asked.policy?.input?.mode === "block" && told.results.some(({ flagged }) => flagged) };
  }

  /** Answers, judged as those of training files are, in view of what was asked; texts that are held back are gone. */
  async output(
    answers: readonly Whole[],
  ): Promise<{ readonly told: z.input<typeof Results>; readonly answers: readonly Whole[] }> {
    const prompt = this.messages.findLast(({ role }) => role === "user")?.content ?? "";
    const told = await this.#judge(answers.map(({ text: answer }) => ({ prompt, answer })));
    if (this.asked.policy?.output?.mode !== "block") return { told, answers };
    return { told, answers: answers.map((one, i) => (told.results[i]?.flagged === true ? HELD_BACK : one)) };
  }

  async #judge(texts: readonly Exchange[]): Promise<z.input<typeof Results>> {
    const { principal, gone } = this.call;
    const { model, results } = await judge(this.serving.service, principal, this.asked.model, texts, gone);
    const typed = results.map((result) => ({ ...result, type: "moderation_result" as const, model }));
    return { type: "moderation_results", model, results: typed };
  }
}

/** What stands in the place of an answer that nobody is given. */
export const HELD_BACK: Whole = { text: "", tokens: [], finish: "content_filter" };
