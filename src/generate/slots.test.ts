import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { TINY_LLAMA } from "../../test/tiny-llama.ts";
import { createModel } from "../models/index.ts";
import { mergeLora } from "../models/merge.ts";
import { Device, type DeviceTensors } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import type { EngineLimits } from "./engine.ts";
import { Generator } from "./generator.ts";
import type { Request, Submission } from "./row.ts";
import { AdapterPool, type SlotAdapter } from "./slots.ts";

const model = createModel(TINY_LLAMA);
const device = new Device({ threads: 1 });
const random = new RandomStream(3, "slots");
let next = 0;

const draw = (shape: readonly number[], size = 0.3): HostTensor<"float32"> =>
  tensor(
    "float32",
    shape,
    Array.from({ length: sizeOf(shape) }, () => size * random.normal(next++)),
  );
const host = new Map([...model.weights].map(([name, shape]) => [name, draw(shape)] as const));

interface Known extends SlotAdapter {
  readonly scale: number;
  readonly tensors: ReadonlyMap<string, HostTensor<"float32">>;
  loads: number;
}

function adapter(key: string, rank: number, projections: readonly string[], size?: number): Known {
  const modules = [...model.linears].filter(([name]) => projections.some((projection) => name.endsWith(projection)));
  const tensors = new Map(
    modules.flatMap(([module, [out, width]]) => [
      [`${module}.lora_A.weight`, draw([rank, width], size)] as const,
      [`${module}.lora_B.weight`, draw([out, rank], size)] as const,
    ]),
  );
  const scale = 1 / rank;
  const known: Known = {
    key,
    scale,
    tensors,
    loads: 0,
    async load() {
      known.loads++;
      await new Promise((resolve) => setTimeout(resolve, known.loads));
      return { scale, tensors };
    },
  };
  return known;
}

const QKV = ["q_proj", "k_proj", "v_proj"];
const adapters = [
  adapter("a", 4, ["q_proj", "v_proj"]),
  adapter("b", 8, QKV),
  adapter("c", 12, QKV),
  adapter("d", 3, ["down_proj"]),
  adapter("e", 33, [...QKV, "o_proj"]),
  adapter("f", 16, ["gate_proj", "up_proj"]),
  adapter("g", 1, ["v_proj"]),
  adapter("h", 70, QKV),
];

let weights: DeviceTensors;
let generator: Generator;
const merged = new Map<string, Generator>();
beforeAll(async () => {
  weights = await device.uploadAll(host);
  generator = await Generator.create({ device, model, weights });
  for (const { key, tensors, scale } of adapters) {
    const all = await device.uploadAll(mergeLora(host, tensors, scale));
    merged.set(key, await Generator.create({ device, model, weights: all }));
  }
});

const open = (slots: number, limits: EngineLimits = {}) =>
  generator.open(undefined, { rows: 6, part: 8, ...limits }, new AdapterPool(model, slots));

async function collected(submission: Submission): Promise<number[]> {
  const ids: number[] = [];
  for await (const event of submission) if ("token" in event) ids.push(event.token);
  return ids;
}
const promptOf = (seed: number) =>
  Array.from({ length: 1 + (seed % 13) }, (_, i) => random.integer(10_000_000 + 100 * seed + i, model.vocabSize));

describe("adapters in one batch", () => {
  test("rows of eight adapters and of the base, in three slots, are answered as each adapter alone merged into the weights", async () => {
    const engine = await open(3);
    const rows = Array.from({ length: 40 }, (_, i) => ({
      prompt: promptOf(i),
      request: { maxNewTokens: 3 + (i % 9), ...(i % 9 === 8 ? {} : { adapter: adapters[i % 9] as Known }) } as Request,
    }));
    const answers = await Promise.all(
      rows.map(async ({ prompt, request }, i) => {
        for (let wait = (i * 7) % 31; wait > 0; wait--) await new Promise((resolve) => setImmediate(resolve));
        return collected(engine.submit(prompt, request));
      }),
    );
    for (const [i, { prompt, request }] of rows.entries()) {
      const alone = merged.get(request.adapter?.key ?? "") ?? generator;
      const [expected] = await alone.generate([prompt], { maxNewTokens: request.maxNewTokens });
      expect(answers[i], `row ${i}, ${request.adapter?.key}`).toEqual(expected?.ids);
    }
    expect(Math.max(...adapters.map(({ loads }) => loads))).toBeGreaterThan(1);
  });

  test("one whose numbers overflow fails by itself and changes no bit of the others", async () => {
    const broken = adapter("broken", 4, QKV);
    for (const { data } of broken.tensors.values()) data.fill(3e38);
    // The broken row leaves when it has been read; the sound one in its place has a single token, so that the same batches follow.
    const answers = async (third: Known) => {
      const engine = await open(3);
      const request = { logprobs: 2 };
      const events = await Promise.allSettled(
        [adapters[1], adapters[2], third].map(async (adapter, i) => {
          const found = [];
          const maxNewTokens = i === 2 ? 1 : 8;
          for await (const event of engine.submit(promptOf(i + 3), { ...request, maxNewTokens, adapter }))
            found.push(event);
          return found;
        }),
      );
      return { others: events.slice(0, 2), third: events[2] };
    };
    const [poisoned, healthy] = [await answers(broken), await answers(adapter("sound", 4, QKV))];
    expect(poisoned.third).toMatchObject({ reason: { code: "NON_FINITE_LOGITS" } });
    expect(healthy.third).toMatchObject({ status: "fulfilled" });
    expect(poisoned.others).toEqual(healthy.others);
  });

  test("an adapter that cannot be loaded fails its rows alone, and is tried anew for the next one", async () => {
    const engine = await open(1);
    const [good] = adapters as [Known];
    let tries = 0;
    const late: SlotAdapter = {
      key: "late",
      load: () => (++tries === 1 ? Promise.reject(new Error("not there")) : good.load()),
    };
    const request = { maxNewTokens: 4 };
    const first = collected(engine.submit([1, 2], { ...request, adapter: late }));
    const base = collected(engine.submit([1, 2], request));
    await expect(first).rejects.toThrow("not there");
    expect(await base).toHaveLength(4);
    const again = await collected(engine.submit([1, 2], { ...request, adapter: late }));
    expect(again).toEqual(await collected(engine.submit([1, 2], { ...request, adapter: good })));
  });

  test("a row gets a slot though others of the loaded adapter never end", async () => {
    const engine = await open(1, { rows: 2 });
    const [busy, other] = adapters as [Known, Known];
    let isOver = false;
    const stream = (async () => {
      while (!isOver) await collected(engine.submit([1, 2], { maxNewTokens: 6, adapter: busy }));
    })();
    const streams = [stream, stream];
    const answer = await collected(engine.submit([3], { maxNewTokens: 2, adapter: other }));
    isOver = true;
    await Promise.all(streams);
    expect(answer).toHaveLength(2);
  });

  test("an adapter that is forgotten stays with the rows that have it, and is loaded anew for others", async () => {
    const pool = new AdapterPool(model, 1);
    const engine = await generator.open(undefined, {}, pool);
    const [one] = adapters as [Known];
    const submission = engine.submit([1, 2], { maxNewTokens: 10, adapter: one });
    await submission.next();
    pool.forget(one.key);
    const loads = one.loads;
    const later = collected(engine.submit([1, 2], { maxNewTokens: 10, adapter: one }));
    const rest = await collected(submission);
    expect((await later).slice(1)).toEqual(rest);
    expect(one.loads).toBe(loads + 1);
  });
});

test("no slot that a row holds is ever written to, whatever is asked for, loaded, forgotten and let go", async () => {
  const marked = Array.from({ length: 6 }, (_, i) => {
    const known = adapter(`m${i}`, 1 + 7 * i, i % 2 === 0 ? ["q_proj"] : ["v_proj"]);
    for (const { data } of known.tensors.values()) data.fill(i + 1);
    return known;
  });
  const actions = fc.oneof(
    fc.record({ does: fc.constant("ask" as const), which: fc.nat(5), at: fc.nat(20) }),
    fc.record({ does: fc.constant("leave" as const), which: fc.nat(20), at: fc.nat(20) }),
    fc.record({ does: fc.constant("forget" as const), which: fc.nat(5), at: fc.nat(20) }),
    fc.record({ does: fc.constant("wait" as const), which: fc.nat(3), at: fc.nat(20) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(actions, { maxLength: 40 }), async (sequence) => {
      const pool = new AdapterPool(model, 2);
      const rows: { readonly slot: number; readonly which: number }[] = [];
      for (const { does, which } of sequence) {
        if (does === "ask") {
          pool.begin();
          const { key, scale, tensors } = marked[which] as Known;
          const load = async () => ({ scale, tensors });
          const slot = pool.slotOf({ key, load }, (at) => rows.some((row) => row.slot === at));
          if (slot !== undefined) rows.push({ slot, which });
        } else if (does === "leave") rows.splice(which, 1);
        else if (does === "forget") pool.forget((marked[which] as Known).key);
        else for (let turns = 0; turns < which; turns++) await undefined;
        for (const { slot, which } of rows) {
          const { tensors } = marked[which] as Known;
          const { stacks } = pool.view;
          for (const [name, { shape }] of tensors) {
            const found = stacks[name.replace(/\.lora_A\.weight$/, "")]?.a;
            if (found === undefined || shape.length !== 2) continue;
            const size = (found.shape[1] as number) * (found.shape[2] as number);
            const own = found.data.subarray(slot * size, slot * size + sizeOf(shape));
            expect(new Set(own)).toEqual(new Set([which + 1]));
          }
        }
        expect(Object.values(pool.view.stacks).every(({ a }) => a.data.subarray(0, 32).every((x) => x === 0))).toBe(
          true,
        );
      }
    }),
    { numRuns: 300 },
  );
});
