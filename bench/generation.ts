import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { encodePrompt } from "../src/generate/index.ts";
import { openSource } from "../src/models/source.ts";
import { packagePath } from "../src/stages/package-root.ts";
import { measureInChild } from "./child.ts";
import { writeWidened } from "./gguf-widened.ts";
import { figure, gigabytes, median, NOTHING, type Section } from "./report.ts";

/** What a generation process is asked to do. */
export interface GenerationRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
  /** Measured runs, after a warm-up. */
  readonly runs: number;
}

const Result = z.object({
  seconds: z.array(z.number().positive()).min(1),
  /** New tokens of the first prompt. */
  first: z.array(z.int()),
  peakRssBytes: z.number(),
  version: z.string().optional(),
});

interface Measured extends z.infer<typeof Result> {
  readonly name: string;
  readonly batch: number;
  readonly tokensPerSecond: number;
}

/** Harmless questions of various lengths; sixteen of them make the large batch. */
const QUESTIONS = [
  "What is the capital of France?",
  "Explain photosynthesis to a child in a few sentences.",
  "Write a short poem about the sea in autumn.",
  "How do I boil an egg?",
  "Give me three names for a bakery in a small village, and say why each of them fits.",
  "Why is the sky blue?",
  "Summarise the water cycle.",
  "Translate 'good morning' into Spanish.",
  "What should I pack for a weekend of hiking in the mountains when rain is likely?",
  "Name two prime numbers above ten.",
  "Describe the taste of a ripe pear to someone who has never eaten one.",
  "How does a bicycle stay upright?",
  "Write an invitation to a birthday party for a friend who likes astronomy.",
  "What is a prime number?",
  "List the planets of the solar system from the inside to the outside.",
  "Tell me a story about a lighthouse keeper and a lost gull.",
];
const BATCHES = [1, QUESTIONS.length];

const LLAMA = packagePath("bench", "peers", "llama");

interface Options {
  readonly model: string;
  /** For files that are thrown away. */
  readonly scratch: string;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/**
 * New tokens a second, reading the prompts included, greedy, never stopping early: ours in float32 beside llama.cpp with the
 * same weights in F16 and F32, one prompt and sixteen at once.
 */
export async function generation({ model, scratch, quick, progress }: Options): Promise<Section> {
  const newTokens = quick ? 16 : 64;
  const runs = quick ? 1 : 5;
  const installed = existsSync(join(LLAMA, "node_modules"));
  const programs = [{ name: "ours, float32", args: [join(import.meta.dirname, "ours-generation.js"), model] }];
  for (const format of installed ? (["F16", "F32"] as const) : []) {
    const file = join(scratch, `model-${format}.gguf`);
    progress(`generation: writing the weights in ${format}`);
    writeWidened(model, file, format);
    programs.push({ name: `llama.cpp, ${format}`, args: [join(LLAMA, "generate.js"), file] });
  }
  const tokenizer = openSource(model).base.tokenizer();
  const prompts = QUESTIONS.map((content) => encodePrompt(tokenizer, [{ role: "user", content }]));
  const measured: Measured[] = [];
  for (const batch of BATCHES) {
    const request = join(scratch, `generate-${batch}.json`);
    writeFileSync(
      request,
      JSON.stringify({ prompts: prompts.slice(0, batch), newTokens, runs } satisfies GenerationRequest),
    );
    for (const { name, args } of programs) {
      progress(`generation: ${name}, batch ${batch}`);
      const result = await measureInChild(Result, process.execPath, [...args, request]);
      measured.push({ name, batch, ...result, tokensPerSecond: (batch * newTokens) / median(result.seconds) });
    }
  }
  const own = (batch: number) => measured.find((entry) => entry.batch === batch);
  const version = measured.find((entry) => entry.version !== undefined)?.version;
  return {
    title: "Generation: SmolLM2-135M",
    tables: [
      {
        title: `New tokens a second, ${newTokens} new tokens to each prompt`,
        header: ["who", "batch", "tokens/s", "ours, times as fast", "same first tokens as ours", "peak GB"],
        rows: measured.map(({ name, batch, first, tokensPerSecond, peakRssBytes }) => {
          const reference = own(batch);
          const isOwn = name === programs[0]?.name;
          return [
            name,
            String(batch),
            figure(tokensPerSecond),
            isOwn ? NOTHING : figure((reference?.tokensPerSecond ?? Number.NaN) / tokensPerSecond),
            isOwn ? NOTHING : `${agreement(first, reference?.first ?? [])} of ${newTokens}`,
            gigabytes(peakRssBytes),
          ];
        }),
      },
    ],
    targets: [],
    notes: [
      installed
        ? `llama.cpp ${version} through node-llama-cpp, each prompt a sequence of one context.`
        : "Ours alone: llama.cpp needs `bench/peers/llama/setup.sh`.",
    ],
    data: measured,
  };
}

/** Tokens before the first difference. */
function agreement(a: readonly number[], b: readonly number[]): number {
  const difference = a.findIndex((token, i) => token !== b[i]);
  return difference === -1 ? a.length : difference;
}
