/** A12: many adapters, streams and kinds of neighbours at once for some time; what each gets is what it gets alone. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { startServing } from "../../../src/service/engine/serving.ts";
import type { Ask, ServedToken } from "../../../src/service/engine/types.ts";
import { RandomStream } from "../../../src/tensor/random.ts";
import { compileProgram } from "../../crash/compile.ts";
import { askOf, PROMPTS, randomAdapters, WORLD } from "./world.ts";

const SECONDS = Number(process.env.BOOSTER_CHURN ?? 3);
const STREAMS = 32;
/** Closer than this, rounding decides which of two tokens is the likelier one. */
const TIE = 1e-3;

const program = compileProgram("src/service/engine/child.ts");
const made = randomAdapters(8);
const engine = startServing({
  folderOf: async () => WORLD,
  version: "test",
  module: program.path,
  threads: 1,
  slots: 3,
});
afterAll(async () => {
  await engine.close();
  made.remove();
});

/** Tokens of the only answer to a request, as they come, read slowly or not. */
async function tokensOf(ask: Ask, pause = 0): Promise<ServedToken[]> {
  const tokens: ServedToken[] = [];
  for await (const event of engine.answer(ask, { project: `p${ask.seed}` })) {
    if (event.kind === "text") tokens.push(...event.tokens);
    if (pause > 0) await sleep(pause);
  }
  return tokens;
}

/** The same tokens, or another one where the two likeliest were as good as equal; from there on answers go their own ways. */
function isAsAlone(alone: readonly ServedToken[], tokens: readonly ServedToken[]): boolean {
  const at = alone.findIndex(({ id }, i) => id !== tokens[i]?.id);
  if (at < 0) return alone.length === tokens.length;
  const [first, second] = alone[at]!.top;
  return second !== undefined && first!.logprob - second.logprob < TIE;
}

test(`${STREAMS} streams of 8 adapters in 3 slots for ${SECONDS} s, beside overflows, prompts as long as can be, slow readers and those who leave`, async () => {
  const adapters = [undefined, ...made.adapters];
  const asks = adapters.flatMap((adapter, a) =>
    PROMPTS.slice(0, 3).map((text, i) =>
      askOf({
        model: { base: "world", ...(adapter && { adapter }) },
        prompts: [i === 2 ? { ids: Array.from({ length: 50 }, (_, t) => 9 + ((t * (a + 3)) % 40)) } : { text }],
        maxNewTokens: 6 + 2 * i,
        logprobs: 2,
        seed: a,
      }),
    ),
  );
  const alone: ServedToken[][] = [];
  for (const ask of asks) alone.push(await tokensOf(ask));
  const random = new RandomStream(8, "churn");
  const until = performance.now() + SECONDS * 1000;
  const others: number[] = [];
  let [answers, overflows, left] = [0, 0, 0];
  const stream = async (number: number): Promise<void> => {
    for (let turn = 0; turn === 0 || performance.now() < until; turn++) {
      const which = random.integer(turn * STREAMS + number, asks.length);
      const ask = asks[which]!;
      if (number === 0) {
        const broken = { ...ask, model: { base: "world", adapter: made.overflowing } };
        await expect(tokensOf(broken)).rejects.toMatchObject({ code: "internal_error" });
        overflows++;
      } else if (number === 1) {
        for await (const event of engine.answer(ask, { project: "leaving" })) if (event.kind === "text") break;
        left++;
      } else {
        if (!isAsAlone(alone[which]!, await tokensOf(ask, number === 2 ? 30 : 0))) others.push(which);
        answers++;
      }
    }
  };
  await Promise.all(Array.from({ length: STREAMS }, (_, number) => stream(number)));
  console.log(`${answers} answers, ${overflows} overflows, ${left} left`);
  expect(others).toEqual([]);
  expect(Math.min(answers / (STREAMS - 2), overflows, left)).toBeGreaterThanOrEqual(1);
  await expect.poll(() => engine.status().world).toMatchObject({ rows: 0, waiting: 0, restarts: 0 });
}, 3_600_000);
