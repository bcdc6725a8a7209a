/** What every row of the table of methods promises: same bytes, across stop and resume too; its limit; no trace of NaN. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { configureMethod, METHODS } from "../../src/methods/registry.ts";
import { type Example, IGNORE } from "../../src/models/index.ts";
import { adamW } from "../../src/optim/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type HostTensor, tensor, zeros } from "../../src/tensor/tensor.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { TrainingStepper } from "../../src/train/training-stepper.ts";
import { loraShapes, randomRows, randomTensors, tinyModel } from "./tiny-model.ts";
import { hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const STEPS = 6;
const RATE = 1e-2;
const LENGTHS = [5, 7, 4, 9, 6, 8, 5, 3];

/** Settings in which a method does all that it can within a few steps of a tiny model; its defaults otherwise. */
const SETTINGS: Readonly<Record<string, object>> = {
  salora: { safetyRank: 2, taskRank: 3 },
  "deep-alignment": { refusals: 3, anchors: 4 },
  "sn-tune": { epsilon: 0.1 },
  lisa: { alignmentSteps: 2, userSteps: 1 },
  ewc: { lambda: 1, fisherBatchSize: 3 },
  safeinstr: { safetyRatio: 0.5 },
  "t-vaccine": { activeLayers: 1, drawEvery: 2, probeEvery: 4 },
  repnoise: { beta: 0.1, mode: "reference" },
  "rsn-tune": { select: "top", topAttention: 3, topFeedForward: 8 },
  tar: { innerSteps: 4, subsample: 2, trajectories: 2, adversaryRates: [1e-2], mappingSteps: 1 },
  seal: { mode: "twoModel", selectorEpochs: 1, secondRate: 1e-2 },
};
/** Settings in which a method is plain SFT on its first stream, bit for bit. */
const LIMITS: Readonly<Record<string, object>> = {
  booster: { lambda: 0 },
  vaccine: { rho: 0 },
  "booster-vaccine": { lambda: 0, rho: 0 },
  "t-vaccine": { rho: 0, activeLayers: 2 },
  repnoise: { alpha: 0, beta: 0 },
  "united-alignment": { rho: 0 },
  united: { lambda: 0 },
  lisa: { rho: 0, alignmentSteps: 0 },
  ldifs: { alpha: 0 },
  ewc: { lambda: 0 },
  kl: { lambda: 0 },
  vlguard: { lambda: 0 },
  safeinstr: { safetyRatio: 0 },
  panacea: { lambda: 0, addPerturbation: false },
  "safety-layers": { layers: [1, 0] },
  tar: { lambda: 0, representations: false, innerSteps: 2, subsample: 1, adversaryRates: [1e-2] },
  "constrained-sft": { beta: 0 },
};
/** Methods that begin with factors of their own, and refuse trained ones. */
const FRESH: readonly string[] = ["salora"];

const settingsOf = (name: string): object => SETTINGS[name] ?? {};

/** The same LoRA factors with B zero. */
const withoutEffect = (factors: ReadonlyMap<string, HostTensor<"float32">>) =>
  new Map([...factors].map(([name, x]) => [name, name.includes("lora_B") ? zeros("float32", x.shape) : x]));

/** Row i of every stream answers the same prompt: some methods look for pairs. */
const withPrompt = ({ inputIds, labels }: Example, i: number): Example => ({
  inputIds: [i, ...Array.from(inputIds)],
  labels: [IGNORE, inputIds[0] as number, ...Array.from(labels).slice(1)],
});

/** A method at work on rows of its own. */
async function trainer(name: string, settings: object, tune = configureMethod(name).trains ?? "lora") {
  const method = configureMethod(name, settings);
  const frozen = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32")));
  const shapes = tune === "full" ? model.weights : loraShapes(model);
  const rows: Record<string, Example[]> = Object.fromEntries(
    method.streams.map((stream, i) => [stream, randomRows(model, LENGTHS, 10 + i).map(withPrompt)]),
  );
  const counts = Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, list.length]));
  const { facts, steps, batches } = planRun({
    model,
    method,
    rows: counts,
    batchSize: 3,
    seed: 5,
    steps: STEPS,
    epochs: 1,
  });
  const initial = new Map(Object.entries(randomTensors(shapes, "float32", tune === "full" ? 1 : 2)));
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen,
    trainable: FRESH.includes(name) ? withoutEffect(initial) : initial,
    method,
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    loraScale: tune === "full" ? 1 : 0.5,
    chunks: 2,
    rows: counts,
  });
  const stepper = new TrainingStepper({ program, method, rows, facts });
  const run = async (from: number, to: number) => {
    const results = [];
    for (let step = from; step < to; step++) {
      const drawn = Object.fromEntries(
        Object.entries(batches).map(([stream, source]) => [stream, [source.batch(step)]]),
      );
      results.push(await stepper.step(drawn, RATE, step));
    }
    return results;
  };
  return { method, stepper, program, steps, run };
}

describe.each(METHODS.map(({ name }) => name))("%s", (name) => {
  test("every option says what it means", () => {
    const method = METHODS.find((row) => row.name === name)?.method;
    const { properties = {} } = z.toJSONSchema(method?.options as z.ZodType, { io: "input" });
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

  test.runIf(name in LIMITS)("in its limit it is SFT on its first stream, bit for bit", async () => {
    const [limit, sft] = [
      await trainer(name, LIMITS[name] ?? {}),
      await trainer("sft", {}, configureMethod(name).trains),
    ];
    await limit.stepper.prepare();
    const adapterAfter = async ({ run, stepper }: typeof limit) => {
      await run(0, STEPS);
      return hash(await stepper.adapter());
    };
    expect(await adapterAfter(limit)).toBe(await adapterAfter(sft));
  });
});

test.each(["ewc", "sn-tune", "rsn-tune", "salora"])(
  "%s stops when asked while it measures, before the first step",
  async (name) => {
    const { stepper } = await trainer(name, settingsOf(name));
    await expect(stepper.prepare(AbortSignal.abort())).rejects.toMatchObject({ code: "STOPPED" });
  },
);
