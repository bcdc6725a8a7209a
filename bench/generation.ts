import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { encodePrompt } from "../src/generate/index.ts";
import { openSource } from "../src/models/source.ts";
import { packagePath } from "../src/stages/package-root.ts";
import { measureInChild } from "./child.ts";
import { type BenchFormat, writeInFormat } from "./gguf-formats.ts";
import { figure, gigabytes, median, NOTHING, type Section } from "./report.ts";

/** What a generation process is asked to do. */
export interface GenerationRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
  /** Measured runs, after a warm-up. */
  readonly runs: number;
}

export const GenerationResult = z.object({
  seconds: z.array(z.number().positive()).min(1),
  /** New tokens of the first prompt. */
  first: z.array(z.int()),
  peakRssBytes: z.number(),
  version: z.string().optional(),
});

interface Measured extends z.infer<typeof GenerationResult> {
  readonly format: BenchFormat;
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

/** What is measured of a file, ours first: its tokens are those that the others are compared with. */
const FORMATS: readonly { readonly format: BenchFormat; readonly hasRounded: boolean }[] = [
  { format: "F32", hasRounded: false },
  { format: "Q8_0", hasRounded: true },
  { format: "Q4_0", hasRounded: true },
];

/**
 * New tokens a second, reading the prompts included, greedy, never stopping early: ours beside llama.cpp with the
 * same file, one prompt and sixteen at once.
 */
export async function generation({ model, scratch, quick, progress }: Options): Promise<Section> {
  const newTokens = quick ? 16 : 64;
  const runs = quick ? 1 : 5;
  const installed = existsSync(join(LLAMA, "node_modules"));
  const ours = join(import.meta.dirname, "ours-generation.js");
  const programs = FORMATS.flatMap(({ format, hasRounded }) => {
    const file = join(scratch, `model-${format}.gguf`);
    progress(`generation: writing the weights in ${format}`);
    writeInFormat(model, file, format);
    return [
      { format, name: "ours", args: (request: string) => [ours, file, request] },
      ...(hasRounded
        ? [{ format, name: "ours, rounded", args: (request: string) => [ours, file, request, "rounded"] }]
        : []),
      ...(installed
        ? [{ format, name: "llama.cpp", args: (request: string) => [join(LLAMA, "generate.js"), file, request] }]
        : []),
    ];
  });
  const tokenizer = openSource(model).base.tokenizer();
  const prompts = QUESTIONS.map((content) => encodePrompt(tokenizer, [{ role: "user", content }]));
  const measured: Measured[] = [];
  for (const batch of BATCHES) {
    const request = join(scratch, `generate-${batch}.json`);
    writeFileSync(
      request,
      JSON.stringify({ prompts: prompts.slice(0, batch), newTokens, runs } satisfies GenerationRequest),
    );
    for (const { format, name, args } of programs) {
      progress(`generation: ${format}, ${name}, batch ${batch}`);
      const result = await measureInChild(GenerationResult, process.execPath, args(request));
      measured.push({ format, name, batch, ...result, tokensPerSecond: (batch * newTokens) / median(result.seconds) });
    }
  }
  const of = (name: string, { format, batch }: Measured) =>
    measured.find((entry) => entry.name === name && entry.format === format && entry.batch === batch);
  const version = measured.find((entry) => entry.version !== undefined)?.version;
  return {
    title: "Generation: SmolLM2-135M",
    tables: [
      {
        title: `New tokens a second, ${newTokens} new tokens to each prompt`,
        header: ["file", "batch", "who", "tokens/s", "times llama.cpp", "same first tokens as ours", "peak GB"],
        rows: measured.map((entry) => {
          const { format, name, batch, first, tokensPerSecond, peakRssBytes } = entry;
          const [own, peer] = [of("ours", entry), of("llama.cpp", entry)];
          return [
            format,
            String(batch),
            name,
            figure(tokensPerSecond),
            peer === undefined ? NOTHING : figure(tokensPerSecond / peer.tokensPerSecond),
            own === entry ? NOTHING : `${agreement(first, own?.first ?? [])} of ${newTokens}`,
            gigabytes(peakRssBytes),
          ];
        }),
      },
    ],
    targets: [],
    notes: [
      installed
        ? `llama.cpp ${version} through node-llama-cpp, each prompt a sequence of one context. It rounds what Q8_0 and Q4_0 are multiplied with to 8 bits, as "ours, rounded" does.`
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
