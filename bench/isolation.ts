import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { encodePrompt } from "../src/generate/index.ts";
import { openSource } from "../src/models/source.ts";
import { startServing } from "../src/service/engine/serving.ts";
import type { Ask, ServedAdapter } from "../src/service/engine/types.ts";
import { figure, NOTHING, type Section } from "./report.ts";
import { overflowing, PLAIN, type ServingBench, writeAdapters } from "./serve-adapters.ts";

/** Streams that do nothing unusual, on the base and as many adapters as stay. */
const STREAMS = 27;
const STAYING = 3;
const ADAPTERS = 8;
/** Fewer than there are adapters: those that do not stay push each other out. */
const SLOTS = 5;
const PROMPT = 32;
const LONG_PROMPT = 1900;
/** Of one reader: some 200 bytes an event. */
const SLOW_MS = 200;

interface Times {
  readonly firsts: number[];
  readonly gaps: number[];
}

type Neighbours = (over: AbortSignal, counts: Measured["long"]) => Promise<unknown>[];

/** Of the streams that do nothing unusual; milliseconds. */
interface Measured {
  /** Between two tokens of a stream. */
  readonly p50: number;
  readonly p99: number;
  /** From a request to its first token, the median. */
  readonly first: number;
  readonly tokensPerSecond: number;
  /** Long prompts that were asked, and of which a first token came. */
  readonly long: { asked: number; read: number };
}

async function drain(answers: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of answers);
}

/** The smallest of some numbers that a share of them does not exceed. */
function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}

/**
 * Milliseconds between two tokens of streams that do nothing unusual, alone and beside neighbours that do: adapters that are loaded and pushed out, one whose
 * numbers overflow, a prompt of 1,900 tokens each second, a reader of a kilobyte a second.
 */
export async function isolation({ model, scratch, quick, progress }: ServingBench): Promise<Section> {
  const seconds = quick ? 5 : 20;
  const adapters = writeAdapters(model, scratch, ADAPTERS).map(({ served }) => served);
  const broken = overflowing(model, scratch).served;
  const words = encodePrompt(openSource(model).base.tokenizer(), "A lighthouse keeper and a lost gull. ".repeat(300));
  const engine = startServing({ folderOf: async () => model, version: "bench", slots: SLOTS });

  const askOf = (adapter: ServedAdapter | undefined, ids: readonly number[], maxNewTokens: number): Ask => ({
    ...PLAIN,
    prompts: [{ ids }],
    maxNewTokens,
    model: { base: "base", ...(adapter && { adapter }) },
  });

  /** Asks again and again, as long as it may; tokens are timed as they are computed, when their reader has had time or not. */
  async function stream(number: number, over: AbortSignal, ask: Ask, pause: number, times?: Times): Promise<void> {
    while (!over.aborted) {
      let last = performance.now();
      let isFirst = true;
      const onTokens = (computed: number) => {
        if (computed === 0) return;
        const now = performance.now();
        (isFirst ? times?.firsts : times?.gaps)?.push(now - last);
        isFirst = false;
        last = now;
      };
      for await (const _ of engine.answer(ask, { project: `p${number}`, signal: over, onTokens })) {
        if (pause > 0) await sleep(pause);
      }
    }
  }

  async function measure(neighbours: Neighbours, length: number): Promise<Measured> {
    const over = AbortSignal.timeout(1000 * length);
    setMaxListeners(0, over);
    const times: Times = { firsts: [], gaps: [] };
    const counts = { asked: 0, read: 0 };
    const streams = Array.from({ length: STREAMS }, (_, i) => {
      const adapter = [undefined, ...adapters.slice(0, STAYING)][i % (STAYING + 1)];
      return stream(i, over, askOf(adapter, words.slice(i, i + PROMPT), 64), 0, times);
    });
    await Promise.all([...streams, ...neighbours(over, counts)]);
    const { firsts, gaps } = times;
    return {
      p50: quantile(gaps, 0.5),
      p99: quantile(gaps, 0.99),
      first: quantile(firsts, 0.5),
      tokensPerSecond: (firsts.length + gaps.length) / length,
      long: counts,
    };
  }

  const churning = async (over: AbortSignal, number: number) => {
    for (let turn = number; !over.aborted; turn++) {
      const ask = askOf(
        adapters[STAYING + (turn % (ADAPTERS - STAYING))],
        words.slice(turn % 99, (turn % 99) + PROMPT),
        8,
      );
      await drain(engine.answer(ask, { project: `churn ${number}`, signal: over }));
    }
  };
  const failing = async (over: AbortSignal) => {
    for (; !over.aborted; await sleep(20)) {
      const answers = engine.answer(askOf(broken, words.slice(0, PROMPT), 8), { project: "broken", signal: over });
      // That it fails is what it is there for.
      await drain(answers).catch(() => undefined);
    }
  };
  const long = async (over: AbortSignal, counts: Measured["long"]) => {
    const asked: Promise<void>[] = [];
    for (let turn = 0; !over.aborted; turn++) {
      const ask = askOf(undefined, words.slice(turn % 99, (turn % 99) + LONG_PROMPT), 2);
      let isRead = false;
      const onTokens = (computed: number) => {
        if (computed > 0 && !isRead) counts.read++;
        isRead ||= computed > 0;
      };
      counts.asked++;
      // More than can wait are refused.
      const answers = engine.answer(ask, { project: "long", signal: over, onTokens });
      asked.push(drain(answers).catch(() => undefined));
      await sleep(1000);
    }
    await Promise.all(asked);
  };
  const slow = (over: AbortSignal) => stream(99, over, askOf(undefined, words.slice(9, 9 + PROMPT), 64), SLOW_MS);
  const KINDS: Readonly<Record<string, Neighbours>> = {
    nobody: () => [],
    "adapters that come and go": (over) => [churning(over, 0), churning(over, 2)],
    "an adapter that overflows": (over) => [failing(over)],
    "1,900 tokens each second": (over, counts) => [long(over, counts)],
    "a slow reader": (over) => [slow(over)],
  };
  const all: Neighbours = (over, counts) => Object.values(KINDS).flatMap((begin) => begin(over, counts));

  const measured: [string, Measured][] = [];
  try {
    progress("isolation: warming up");
    await measure(all, quick ? 5 : 20);
    for (const [name, neighbours] of [...Object.entries(KINDS), ["all of them", all] as const]) {
      progress(`isolation: beside ${name}`);
      measured.push([name, await measure(neighbours, seconds)]);
    }
  } finally {
    await engine.close();
  }
  const [, alone] = measured[0]!;
  return {
    title: "Serving: neighbours, SmolLM2-135M",
    tables: [
      {
        title: `Milliseconds between two tokens of ${STREAMS} streams, prompts of ${PROMPT} tokens, 64 new ones, ${STAYING} adapters and the base`,
        header: [
          "beside",
          "p50",
          "p99",
          "times p99 beside nobody",
          "ms to a first token",
          "tokens/s",
          "long prompts read",
        ],
        rows: measured.map(([name, { p50, p99, first, tokensPerSecond, long }]) => [
          name,
          figure(p50),
          figure(p99),
          figure(p99 / alone.p99),
          figure(first),
          figure(tokensPerSecond),
          long.asked === 0 ? NOTHING : `${long.read} of ${long.asked}`,
        ]),
      },
    ],
    targets: [
      {
        what: "p99 beside all of them",
        value: measured.at(-1)![1].p99 / alone.p99,
        sense: "at most",
        wanted: 2,
        unit: "times",
      },
    ],
    notes: [
      "The slow reader reads the engine's events slowly; HTTP is left out. Long prompts: of how many of those that were asked in this time the first token came in it.",
    ],
    data: Object.fromEntries(measured),
  };
}
