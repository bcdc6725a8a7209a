import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAdapter } from "../src/formats/peft.ts";
import { encodePrompt } from "../src/generate/index.ts";
import { createModel, freshLora } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import { startServing } from "../src/service/engine/serving.ts";
import type { Ask, ServedAdapter, ServingEngine } from "../src/service/engine/types.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { measureInChild } from "./child.ts";
import type { GenerationRequest } from "./generation.ts";
import { figure, median, type Section } from "./report.ts";

const STREAMS = [1, 8, 32];
const ADAPTERS = 8;
const RANK = 16;
/** Tokens of a prompt: those of a short question. */
const PROMPT = 32;

interface Options {
  readonly model: string;
  readonly scratch: string;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

interface Measured {
  readonly streams: number;
  readonly adapters: number;
  readonly tokensPerSecond: number;
  /** From the request to the first token, milliseconds. */
  readonly firstMs: number;
}

const Ours = z.object({ seconds: z.array(z.number().positive()).min(1) });

/**
 * New tokens a second of the serving engine, in a process of its own as in the service, for streams that begin together: the base, one
 * adapter, and eight adapters in one batch, beside `Generator` on the base with as many prompts.
 */
export async function serving({ model, scratch, quick, progress }: Options): Promise<Section> {
  const newTokens = quick ? 8 : 64;
  const runs = quick ? 1 : 3;
  const adapters = writeAdapters(model, scratch);
  const words = encodePrompt(openSource(model).base.tokenizer(), "A lighthouse keeper and a lost gull. ".repeat(20));
  const prompts = Array.from({ length: Math.max(...STREAMS) }, (_, i) => words.slice(i, i + PROMPT));
  const engine = startServing({ folderOf: async () => model, version: "bench", slots: ADAPTERS });
  const measured: Measured[] = [];
  const baseline = new Map<number, number>();
  try {
    for (const streams of STREAMS) {
      progress(`serve: Generator, ${streams} prompts`);
      const request = join(scratch, `serve-${streams}.json`);
      const asked: GenerationRequest = { prompts: prompts.slice(0, streams), newTokens, runs };
      writeFileSync(request, JSON.stringify(asked));
      const args = [join(import.meta.dirname, "ours-generation.js"), model, request];
      const { seconds } = await measureInChild(Ours, process.execPath, args);
      baseline.set(streams, (streams * newTokens) / median(seconds));
      for (const count of [0, 1, ADAPTERS]) {
        progress(`serve: ${streams} streams, ${count} adapters`);
        const asks = prompts.slice(0, streams).map((ids, i): Ask => {
          const adapter = count === 0 ? undefined : adapters[i % count];
          return {
            ...PLAIN,
            prompts: [{ ids }],
            maxNewTokens: newTokens,
            model: { base: "base", ...(adapter && { adapter }) },
          };
        });
        measured.push({ streams, adapters: count, ...(await measure(engine, asks, runs)) });
      }
    }
  } finally {
    await engine.close();
  }
  const of = (streams: number, adapters: number) =>
    measured.find((one) => one.streams === streams && one.adapters === adapters)!.tokensPerSecond;
  const most = Math.max(...STREAMS);
  return {
    title: "Serving: SmolLM2-135M",
    tables: [
      {
        title: `New tokens a second, ${newTokens} new tokens to each prompt of ${PROMPT}, adapters of rank ${RANK} on queries, keys and values`,
        header: ["streams", "adapters", "tokens/s", "times Generator on the base", "ms to the first token"],
        rows: measured.map(({ streams, adapters, tokensPerSecond, firstMs }) => [
          String(streams),
          String(adapters),
          figure(tokensPerSecond),
          figure(tokensPerSecond / baseline.get(streams)!),
          figure(firstMs),
        ]),
      },
    ],
    targets: [
      ...STREAMS.map((streams) => ({
        what: `one adapter, ${streams} streams, beside Generator`,
        value: of(streams, 1) / baseline.get(streams)!,
        sense: "at least" as const,
        wanted: 0.85,
        unit: "times",
      })),
      {
        what: `eight adapters beside one, ${most} streams`,
        value: of(most, ADAPTERS) / of(most, 1),
        sense: "at least",
        wanted: 0.85,
        unit: "times",
      },
    ],
    notes: [
      "Streams begin together and end together; HTTP is left out. Answers that end early count with what they have.",
    ],
    data: { measured, generator: Object.fromEntries(baseline) },
  };
}

const PLAIN = {
  n: 1,
  usualNewTokens: 1,
  temperature: 0,
  topP: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map<number, number>(),
  echo: false,
} satisfies Partial<Ask>;

async function measure(
  engine: ServingEngine,
  asks: readonly Ask[],
  runs: number,
): Promise<Pick<Measured, "tokensPerSecond" | "firstMs">> {
  const rates: number[] = [];
  const firsts: number[] = [];
  // The first run compiles programs and loads adapters.
  for (let run = -1; run < runs; run++) {
    const start = performance.now();
    let tokens = 0;
    await Promise.all(
      asks.map(async (ask) => {
        let isFirst = true;
        for await (const event of engine.answer(ask, { project: "bench" })) {
          if (event.kind === "text" && isFirst && run >= 0) firsts.push(performance.now() - start);
          if (event.kind === "text") isFirst = false;
          if (event.kind === "finished") tokens += event.completionTokens;
        }
      }),
    );
    if (run >= 0) rates.push((1000 * tokens) / (performance.now() - start));
  }
  return { tokensPerSecond: median(rates), firstMs: median(firsts) };
}

/** Adapters with random numbers, small ones, so that answers stay text. */
function writeAdapters(path: string, scratch: string): ServedAdapter[] {
  const model = createModel(openSource(path).base.config());
  const targetModules = ["q_proj", "k_proj", "v_proj"];
  const config = { r: RANK, alpha: RANK, targetModules, useRslora: false };
  return Array.from({ length: ADAPTERS }, (_, i) => {
    const folder = join(scratch, `adapter-${i}`);
    const random = new RandomStream(i, "bench");
    const tensors = freshLora(model, config, i);
    for (const [name, { data }] of tensors) {
      if (name.includes("lora_B")) for (let at = 0; at < data.length; at++) data[at] = 0.01 * random.normal(at);
    }
    writeAdapter(folder, config, tensors, { baseModel: path });
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    return { key: `adapter-${i}`, files: Object.fromEntries(names.map((name) => [name, join(folder, name)])) };
  });
}
