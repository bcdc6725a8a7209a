import { readFileSync } from "node:fs";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { generateText, streamText } from "../../generate/index.ts";
import { AnswerOptions, openAnswerer } from "../answering.ts";
import { defineCommand } from "../command.ts";
import { printable } from "../output.ts";

const options = z.strictObject({
  prompt: z.string().min(1).optional().describe("What to answer"),
  prompts: z
    .string()
    .min(1)
    .optional()
    .describe("Text file with a prompt a line, instead of --prompt; - is standard input"),
  ...AnswerOptions.shape,
  batchSize: z.int().positive().default(16).describe("Prompts that are answered at once"),
});
type Options = z.output<typeof options>;

function promptsOf({ prompt, prompts }: Options): readonly string[] {
  if ((prompt === undefined) === (prompts === undefined)) {
    throw new BoosterError("OPTION_MISSING", "there is nothing to answer", {
      expected: "either --prompt or --prompts",
      found: prompt === undefined ? "neither" : "both",
    });
  }
  if (prompt !== undefined) return [prompt];
  const file = prompts ?? "";
  try {
    const text = readFileSync(file === "-" ? 0 : file, "utf8").replace(/^\uFEFF/, "");
    return text.split(/\r?\n/).filter((line) => line.trim() !== "");
  } catch (cause) {
    throw new BoosterError("DATA_NOT_FOUND", "the prompts cannot be read", {
      found: (cause as NodeJS.ErrnoException).code ?? String(cause),
      where: file,
      cause,
    });
  }
}

/** `booster generate` */
export const command = defineCommand({
  details:
    "Answers prompts with a model, with or without adapters. One prompt is answered token by token as it is computed.",
  examples: [
    "booster generate --model models/smollm2.gguf --prompt 'Why is the sky blue?'  # the likeliest answer",
    "booster generate --model hf:HuggingFaceTB/SmolLM2-135M-Instruct --prompt 'Why is the sky blue?'  # with a model from the hub, which is downloaded once",
    "booster generate --model runs/hard --prompts questions.txt --json  # many answers of an aligned model, for a program",
    "booster generate --model models/tiny --template none --prompt 'Once upon a time' --temperature 0.8 --top-p 0.95  # go on with a text, with some chance",
  ],
  options,
  positional: ["prompt"],
  async run(config, { output }) {
    const prompts = promptsOf(config);
    const answerer = await openAnswerer(config);
    const asked = prompts.map((content) => answerer.prompt([{ role: "user", content }]));
    const [only] = asked;
    if (asked.length === 1 && only !== undefined && !output.json) {
      for await (const piece of streamText(answerer.generator, answerer.tokenizer, only, answerer.options)) {
        process.stdout.write(printable(piece));
      }
      process.stdout.write("\n");
      return;
    }
    const started = performance.now();
    const settings = { ...answerer.options, batchSize: config.batchSize };
    const replies = await generateText(answerer.generator, answerer.tokenizer, asked, settings);
    const seconds = (performance.now() - started) / 1000;
    const tokens = replies.reduce((sum, { ids }) => sum + ids.length, 0);
    const answers = replies.map(({ text, ids, finish, promptTokens }, i) => ({
      prompt: prompts[i] ?? "",
      text,
      finish,
      promptTokens,
      tokens: ids.length,
    }));
    output.result({ answers, tokensPerSecond: tokens / seconds }, () =>
      answers.map(({ prompt, text }) => `> ${printable(prompt)}\n${printable(text)}`).join("\n\n"),
    );
  },
});
