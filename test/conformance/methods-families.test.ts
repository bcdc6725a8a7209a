/** Every training method on every kind of block: it takes its steps, or says why it cannot. By night on every family. */
import { describe, expect, test } from "vitest";
import { BoosterError } from "../../src/errors.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { createModel } from "../../src/models/index.ts";
import { FAMILIES, type TinyFamily } from "./tiny-families.ts";
import { settingsOf, trainer } from "./trainer.ts";

/** Methods that look for neurons need queries and keys that can be told apart. */
const NEURONS = ["sn-tune", "rsn-tune"];

/** What a family's blocks consist of. */
function kindOf({ config }: TinyFamily): string {
  const { modules } = createModel(config);
  return [...new Set([...modules].map(([name, { role }]) => `${role} ${name.split(".").at(-1)}`))].sort().join();
}

const isFirstOfKind = (family: TinyFamily, i: number, all: readonly TinyFamily[]): boolean =>
  all.findIndex((other) => kindOf(other) === kindOf(family)) === i;

// All other tests of methods have the first one, Llama's.
const TRIED = process.env.BOOSTER_CONFORMANCE === undefined ? FAMILIES.filter(isFirstOfKind).slice(1) : FAMILIES;

describe.each(TRIED)("$name", ({ config }) => {
  const model = createModel(config);
  test.each(METHODS.rows)("$name", async ({ name, trains }) => {
    try {
      const { stepper, run } = await trainer(name, settingsOf(name), trains, model);
      await stepper.prepare();
      for (const { applied, metrics } of await run(0, 2)) {
        expect(applied).toBe(true);
        expect(Object.values(metrics).filter((value) => !Number.isFinite(value))).toEqual([]);
      }
    } catch (error) {
      if (!(error instanceof BoosterError) || !NEURONS.includes(name)) throw error;
      expect(error.code).toBe("NEURONS_UNKNOWN");
    }
  });
});
