/** What every row of the table of methods promises: same bytes, across stop and resume too; its limit; no trace of NaN. */

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { METHODS } from "../../src/methods/registry.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { type Event, watchOf } from "../../src/train/index.ts";
import { STEPS, settingsOf, trainer } from "./trainer.ts";
import { hash } from "./training.ts";

describe.each(METHODS.rows)("$name", ({ name, options, limit, trains }) => {
  test("every option says what it means", () => {
    const { properties = {} } = z.toJSONSchema(options, { io: "input" });
    for (const [option, schema] of Object.entries(properties)) {
      expect((schema as { description?: string }).description, option).toMatch(/\w{3}/);
    }
  });

  test("learns: each step is applied, with a finite loss, and moves the weights", async () => {
    const { stepper, steps, run } = await trainer(name, settingsOf(name));
    await stepper.prepare();
    const before = hash(await stepper.save());
    for (const { applied, metrics } of await run(0, steps)) {
      expect(applied).toBe(true);
      expect(Object.values(metrics).filter((value) => !Number.isFinite(value))).toEqual([]);
    }
    expect(hash(await stepper.save())).not.toBe(before);
    for (const { data } of (await stepper.adapter()).values()) expect(data.every(Number.isFinite)).toBe(true);
  });

  test("same seed, same bytes, stopped and resumed after any step", async () => {
    const whole = await trainer(name, settingsOf(name));
    await whole.stepper.prepare();
    const saved: Map<string, HostTensor>[] = [await whole.stepper.save()];
    for (let step = 0; step < whole.steps; step++) {
      await whole.run(step, step + 1);
      saved.push(await whole.stepper.save());
    }
    const end = hash(saved.at(-1) as Map<string, HostTensor>);
    for (const stop of [0, 1, Math.ceil(whole.steps / 2), whole.steps - 1]) {
      const resumed = await trainer(name, settingsOf(name));
      await resumed.stepper.load(saved[stop] as Map<string, HostTensor>);
      await resumed.run(stop, whole.steps);
      expect(hash(await resumed.stepper.save()), `after step ${stop}`).toBe(end);
    }
  });

  test("NaN in the weights: the step is not applied and leaves no trace", async () => {
    const { stepper, run } = await trainer(name, settingsOf(name));
    await stepper.prepare();
    await run(0, 1);
    const state = await stepper.save();
    const weights = state.get("weights") as HostTensor<"float32">;
    state.set(
      "weights",
      tensor(
        "float32",
        weights.shape,
        weights.data.map((x, i) => (i === 0 ? Number.NaN : x)),
      ),
    );
    await stepper.load(state);
    const [result] = await run(1, 2);
    expect(result?.applied).toBe(false);
    expect(hash(await stepper.save())).toBe(hash(state));
  });

  test.runIf(limit)("in its limit it is SFT on its first stream, bit for bit", async () => {
    const [limited, sft] = [await trainer(name, limit ?? {}), await trainer("sft", {}, trains)];
    await limited.stepper.prepare();
    const adapterAfter = async ({ run, stepper }: typeof limited) => {
      await run(0, STEPS);
      return hash(await stepper.adapter());
    };
    expect(await adapterAfter(limited)).toBe(await adapterAfter(sft));
  });
});

test.each(["ewc", "sn-tune", "rsn-tune", "salora"])(
  "%s says how far it is while it measures, and stops when asked, before the first step",
  async (name) => {
    const { stepper } = await trainer(name, settingsOf(name));
    const stop = new AbortController();
    const told: string[] = [];
    const emit = (event: Event) => told.push(event.type === "work" ? event.text : "");
    await stepper.prepare(watchOf({ emit, signal: stop.signal }));
    expect(told[0]).toMatch(/^[^:]+: \w+ 0 of [1-9]\d*$/);
    stop.abort();
    await expect(stepper.prepare(watchOf({ signal: stop.signal }))).rejects.toMatchObject({ code: "STOPPED" });
  },
);
