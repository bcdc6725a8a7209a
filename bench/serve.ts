import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { encodePrompt } from "../src/generate/index.ts";
import { openSource } from "../src/models/source.ts";
import { startServing } from "../src/service/engine/serving.ts";
import type { Ask, ServingEngine } from "../src/service/engine/types.ts";
import { measureInChild } from "./child.ts";
import type { GenerationRequest } from "./generation.ts";
import { figure, median, type Section } from "./report.ts";
import { PLAIN, RANK, type ServingBench, writeAdapters } from "./serve-adapters.ts";
import { llamaServer } from "./serve-peer.ts";

const STREAMS = [1, 8, 32];
const ADAPTERS = 8;
/** Tokens of a prompt: those of a short question. */
const PROMPT = 32;

interface Measured {
  readonly who: "ours" | "llama.cpp";
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
export async function serving({ model, scratch, quick, progress }: ServingBench): Promise<Section> {
  const newTokens = quick ? 8 : 64;
  const runs = quick ? 1 : 2;
  const adapters = writeAdapters(model, scratch, ADAPTERS);
  const words = encodePrompt(openSource(model).base.tokenizer(), "A lighthouse keeper and a lost gull. ".repeat(20));
  const prompts = Array.from({ length: Math.max(...STREAMS) }, (_, i) => words.slice(i, i + PROMPT));
  const llama = await llamaServer(
    model,
    adapters.map(({ folder }) => folder),
    scratch,
  );
  let version: string | undefined;
  const engine = startServing({ folderOf: async () => model, version: "bench", slots: ADAPTERS });
  const measured: Measured[] = [];
  const baseline = new Map<number, number>();
  /** Milliseconds of reading all prompts and two steps. */
  const promptly = new Map<number, number>();
  try {
    for (const streams of STREAMS) {
      progress(`serve: Generator, ${streams} prompts`);
      const request = join(scratch, `serve-${streams}.json`);
      const asked: GenerationRequest = { prompts: prompts.slice(0, streams), newTokens, runs };
      const args = [join(import.meta.dirname, "ours-generation.js"), model, request];
      const alone = async (asked: GenerationRequest): Promise<number> => {
        writeFileSync(request, JSON.stringify(asked));
        return median((await measureInChild(Ours, process.execPath, args)).seconds);
      };
      const [all, first] = [await alone(asked), await alone({ ...asked, newTokens: 1 })];
      baseline.set(streams, (streams * newTokens) / all);
      promptly.set(streams, 1000 * (first + (2 * (all - first)) / (newTokens - 1)));
      for (const count of [0, 1, ADAPTERS]) {
        progress(`serve: ${streams} streams, ${count} adapters`);
        const asks = prompts.slice(0, streams).map((ids, i): Ask => {
          const adapter = count === 0 ? undefined : adapters[i % count];
          return {
            ...PLAIN,
            prompts: [{ ids }],
            maxNewTokens: newTokens,
            model: { base: "base", ...(adapter && { adapter: adapter.served }) },
          };
        });
        measured.push({ who: "ours", streams, adapters: count, ...(await measure(engine, asks, runs)) });
        if (llama === undefined || count === 0) continue;
        progress(`serve: llama.cpp, ${streams} streams, ${count} adapters`);
        const { version: told, ...theirs } = await llama(asked, count);
        version = told;
        measured.push({ who: "llama.cpp", streams, adapters: count, ...theirs });
      }
    }
  } finally {
    await engine.close();
  }
  const found = (who: Measured["who"], streams: number, adapters: number) =>
    measured.find((one) => one.who === who && one.streams === streams && one.adapters === adapters);
  const of = (streams: number, adapters: number) => found("ours", streams, adapters)!.tokensPerSecond;
  const most = Math.max(...STREAMS);
  return {
    title: "Serving: SmolLM2-135M",
    tables: [
      {
        title: `New tokens a second, ${newTokens} new tokens to each prompt of ${PROMPT}, adapters of rank ${RANK} on queries, keys and values`,
        header: ["who", "streams", "adapters", "tokens/s", "times Generator on the base", "ms to the first token"],
        rows: measured.map(({ who, streams, adapters, tokensPerSecond, firstMs }) => [
          who,
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
      ...STREAMS.flatMap((streams) =>
        [1, ADAPTERS].map((adapters) => ({
          what: `ms to the first token, ${streams} streams, ${adapters} adapters, beside reading and two steps of Generator`,
          value: found("ours", streams, adapters)!.firstMs / promptly.get(streams)!,
          sense: "at most" as const,
          wanted: 1,
          unit: "times",
        })),
      ),
      ...STREAMS.slice(1).flatMap((streams) => {
        const theirs = found("llama.cpp", streams, ADAPTERS);
        const what = `eight adapters, ${streams} streams, beside llama.cpp on the same file`;
        if (theirs === undefined) return [];
        const value = of(streams, ADAPTERS) / theirs.tokensPerSecond;
        return [{ what, value, sense: "at least" as const, wanted: 1.5, unit: "times" }];
      }),
    ],
    notes: [
      "Streams begin together and end together; HTTP is left out. Answers that end early count with what they have.",
      version === undefined
        ? "llama.cpp is not installed (bench/peers/llama/setup.sh)."
        : `llama.cpp ${version} through node-llama-cpp, on the same file, a context for each adapter. It rounds activations to 8 bits; ours does not.`,
    ],
    data: { measured, generator: Object.fromEntries(baseline), promptly: Object.fromEntries(promptly) },
  };
}

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
