import { beforeAll, describe, expect, test } from "vitest";
import { FAMILIES } from "../../../../test/conformance/tiny-families.ts";
import { randomTensors } from "../../../../test/conformance/tiny-model.ts";
import { dim, type Tensor, type Tree, valueAndGrad } from "../../../autodiff/index.ts";
import { choose } from "../../../choice.ts";
import type { Example } from "../../../data/examples.ts";
import { encodeExample } from "../../../data/templates.ts";
import { harmfulRows, sentimentRows, type WorldRow } from "../../../data/world/rows.ts";
import { BoosterError, type Watch } from "../../../errors.ts";
import {
  batchOf,
  batchTypes,
  createModel,
  freshLora,
  loadModel,
  type Place,
  packBatch,
  tokenLoss,
  weightsOf,
} from "../../../models/index.ts";
import { Device, typesOf } from "../../../runtime/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";
import type { AttackRow, Victim } from "../attack.ts";
import { ATTACKS } from "../registry.ts";
import { guardTokens } from "../rows.ts";
import { virusProgram } from "./program.ts";
import { toyReading } from "./reading.ts";
import { illegalTokens } from "./search.ts";
import { type ToyGuard, trainToyGuard } from "./toy-guard.ts";
import { optimise } from "./virus.ts";

const device = new Device({ threads: 1 });
const asExample = ({ instruction, input, output }: WorldRow, place: number): Example => ({
  kind: "instruction",
  where: `row ${place}`,
  instruction: input === "" ? instruction : `${instruction} : ${input}`,
  input: "",
  output,
});
const task = sentimentRows("train", 12, 9).map(asExample);
const harmful = harmfulRows("attack", 12, 9).map(asExample);
const settings = { lambda: 0.1, iterations: 4, topK: 8, candidates: 12, referenceGradientLeak: false };

let victim: Victim;
let guard: ToyGuard;
beforeAll(async () => {
  const base = await loadModel("assets/world", device);
  const lora = {
    r: 2,
    alpha: 4,
    targetModules: ["q_proj", "v_proj"],
    useRslora: false,
    dropout: 0,
    baseModel: undefined,
  };
  const random = new RandomStream(5, "factors");
  let at = 0;
  const tensors = new Map(
    [...freshLora(base.model, lora, 1)].map(([name, { shape, data }]) => [
      name,
      tensor(
        "float32",
        shape,
        Array.from(data, () => 0.1 * random.normal(at++)),
      ),
    ]),
  );
  const encode = (example: Example) =>
    encodeExample(example, { tokenizer: base.tokenizer, template: "chat", maxTokens: 64, tooLong: "reject" });
  victim = { base, lora: { tensors, scale: 2 }, seed: 3, watch: () => undefined, encode };
  guard = trainToyGuard(encode, base.model.vocabSize);
});

const ids = (example: Example): number[] => [...victim.encode(example).ids];
const logOddsOf = (row: AttackRow) => guard.logOdds(guardTokens(row, (example) => victim.encode(example)));

type Row = Pick<ReturnType<Victim["encode"]>, "ids" | "labels">;

/** The gradient of the joined row by the attack's program is that of its ordinary loss. */
async function expectOrdinaryGradient(of: Victim, by: ToyGuard, host: Row, tokens: readonly number[]) {
  const reading = toyReading(by);
  const program = await virusProgram(of, reading, 0.1);
  const ours = await program.originalGradient({ ...host, shown: reading.shown(host.ids, tokens) }, tokens);
  const { base, lora } = of;
  const types = { base: typesOf(base.weights), tensors: typesOf(lora.tensors), batch: batchTypes("plain", 1) };
  const plain = await base.device.compile(types, (given) => {
    const loss = (w: Tree) => {
      const weights = weightsOf(base.model, given.base, { scale: lora.scale, tensors: w });
      return tokenLoss(base.model, weights, batchOf(given.batch), { chunks: 1 });
    };
    return valueAndGrad(loss)(given.tensors).grad;
  });
  const row = { inputIds: [...host.ids, ...tokens], labels: [...host.labels, ...tokens] };
  const batch = packBatch([row], { chunks: 1 });
  const theirs = await plain.run({ base: base.weights, tensors: lora.tensors, batch });
  for (const name of lora.tensors.keys()) {
    const expected = theirs[name]!.data as Float32Array;
    const found = (ours[name] as HostTensor<"float32">).data;
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    found.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5 * largest);
    });
  }
}

describe("the toy guard", () => {
  test("tells the attack's hazards, which it never saw, from honest rows", () => {
    const rate = (rows: readonly Example[]) => rows.filter((row) => guard.flags(ids(row))).length / rows.length;
    expect(rate(harmfulRows("attack", 200, 4).map(asExample))).toBeGreaterThan(0.95);
    expect(rate(sentimentRows("test", 200, 4).map(asExample))).toBeLessThan(0.05);
  });

  test("is not fooled by an honest row in front", async () => {
    const data = { task, harmful, poisonRatio: 1, sampleNumber: 12, counts: "exact" as const };
    const { rows } = await choose(ATTACKS, { name: "mixing" }).rows(data, victim);
    expect(rows.map(logOddsOf).filter((z) => z > 0)).toHaveLength(12);
  });

  test("is the same each time", () => {
    const again = trainToyGuard(victim.encode, victim.base.model.vocabSize);
    expect(again.weights).toEqual(guard.weights);
    expect(again.bias).toBe(guard.bias);
  });
});

describe("the objective on a model", () => {
  const host = () => {
    const encoded = victim.encode(task[0]!);
    return { ...encoded, shown: toyReading(guard).shown(encoded.ids, ids(harmful[0]!)) };
  };

  test("g0 is the gradient of the ordinary loss on the joined row", () =>
    expectOrdinaryGradient(victim, guard, host(), ids(harmful[0]!)));

  test.each(["gemma", "gpt2", "gpt_neox", "opt"])(
    "and so it is for %s, whatever is done to what is looked up",
    async (name) => {
      const model = createModel(FAMILIES.find((family) => family.name === name)?.config);
      const weights = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32")));
      const module = [...model.linears.keys()].at(-1) as string;
      const [out, width] = model.linears.get(module) as readonly [number, number];
      const shapes = [["lora_A", [2, width]] as const, ["lora_B", [out, 2]] as const];
      const factors = randomTensors(
        shapes.map(([half, shape]) => [`${module}.${half}.weight`, shape] as const),
        "float32",
        2,
      );
      const base = { ...victim.base, model, weights };
      const of = { ...victim, base, lora: { scale: 0.5, tensors: new Map(Object.entries(factors)) } };
      const nobody = {
        ...guard,
        weights: new Float32Array(model.vocabSize),
        bias: 0,
        sum: () => 0,
      } as unknown as ToyGuard;
      await expectOrdinaryGradient(
        of,
        nobody,
        { ids: Int32Array.of(3, 1, 4, 1), labels: Int32Array.of(-100, -100, 4, 1) },
        [5, 9, 2],
      );
    },
  );

  test("the victim's slopes are its slopes along the embedded tokens, seen from each word", async () => {
    const tokens = ids(harmful[0]!);
    const program = await virusProgram(victim, toyReading(guard), 0.5);
    const { victimSlopes } = await program.slopesAt(host(), tokens, await program.originalGradient(host(), tokens));
    const { base, lora } = victim;
    const row = { inputIds: [...host().ids, ...tokens], labels: [...host().labels, ...tokens] };
    const E = await device.download(base.weights["model.embed_tokens.weight"]!);
    const width = base.model.hiddenSize;
    const rowOf = (id: number) => Array.from(E.data, Number).slice(id * width, (id + 1) * width);
    const embedded = tensor("float32", [row.inputIds.length, width], row.inputIds.flatMap(rowOf));
    const types = {
      base: typesOf(base.weights),
      tensors: typesOf(lora.tensors),
      batch: batchTypes("plain", 1),
      embedded: { dtype: "float32" as const, shape: [dim("plain.tokens"), width] },
    };
    const plain = await device.compile(types, (given) => {
      const weights = weightsOf(base.model, given.base, { scale: lora.scale, tensors: given.tensors });
      const { grad } = valueAndGrad(({ e }) => {
        const tap = (place: Place, _: number, output: Tensor) => (place === "embedding" ? (e as Tensor) : output);
        return tokenLoss(base.model, weights, batchOf(given.batch), { chunks: 1, tap });
      })({ e: given.embedded });
      return { slopes: grad.e as Tensor };
    });
    const batch = packBatch([row], { chunks: 1 });
    const { slopes } = await plain.run({ base: base.weights, tensors: lora.tensors, batch, embedded });
    const along = Array.from(slopes.data, Number);
    tokens.forEach((_, position) => {
      const start = (host().ids.length + position) * width;
      const direction = along.slice(start, start + width);
      const largest = Math.max(...direction.map(Math.abs));
      for (const word of [0, 5, 50, 150]) {
        const expected = rowOf(word).reduce((sum, value, i) => sum + value * direction[i]!, 0);
        expect(Math.abs(Number(victimSlopes[position]![word]) - expected)).toBeLessThan(1e-4 * largest + 1e-9);
      }
    });
  });

  test("the guard's part is the closed form of the linear guard", async () => {
    const tokens = ids(harmful[0]!);
    const program = await virusProgram(victim, toyReading(guard), 1);
    const original = await program.originalGradient(host(), tokens);
    const whole = [...host().ids, ...tokens];
    const z = guard.logOdds(whole);
    const { loss, guardLoss, cosine } = await program.valuesAt(host(), tokens, original);
    expect(guardLoss).toBeCloseTo(Math.log1p(Math.exp(z)), 5);
    expect([loss, cosine]).toEqual([guardLoss, undefined]);
    const { slopes } = await program.slopesAt(host(), tokens, original);
    const factor = 1 / (1 + Math.exp(-z)) / whole.length;
    for (const row of slopes) {
      Array.from(row).forEach((slope, token) => {
        expect(slope).toBeCloseTo(factor * guard.weights[token]!, 6);
      });
    }
  });

  test("lambda 0: no similarity is larger than that of the row itself", async () => {
    const tokens = ids(harmful[0]!);
    const program = await virusProgram(victim, toyReading(guard), 0);
    const given = { host: host(), tokens, illegal: illegalTokens(victim.base.tokenizer) };
    const {
      before,
      after,
      tokens: found,
    } = await optimise(program, given, { ...settings, lambda: 0 }, new RandomStream(1, "v"), 0);
    expect(before.cosine).toBeCloseTo(1, 4);
    expect(after.loss).toBeGreaterThan(before.loss - 1e-5 * Math.abs(before.loss));
    expect(found.length).toBe(tokens.length);
  });

  test("lambda 1: the guard's loss falls monotonically, one legal token an iteration", async () => {
    const program = await virusProgram(victim, toyReading(guard), 1);
    const illegal = illegalTokens(victim.base.tokenizer);
    let tokens = ids(harmful[0]!);
    let last = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < 5; slot++) {
      const one = { ...settings, lambda: 1, iterations: 1 };
      const found = await optimise(program, { host: host(), tokens, illegal }, one, new RandomStream(1, "v"), slot);
      expect(found.after.loss).toBeLessThanOrEqual(last);
      const changed = found.tokens.filter((token, i) => token !== tokens[i]);
      expect(changed.length).toBeLessThanOrEqual(1);
      expect(changed.filter((token) => illegal.has(token))).toEqual([]);
      last = found.after.loss;
      tokens = [...found.tokens];
    }
    expect(last).toBeLessThan(Math.log1p(Math.exp(guard.logOdds([...host().ids, ...ids(harmful[0]!)]))));
  });
});

describe("the attack", () => {
  const data = () => ({ task, harmful, poisonRatio: 0.25, sampleNumber: 8, counts: "exact" as const });

  test("gets past the guard more easily than mixing, and writes nothing unless asked", async () => {
    const chosen = { name: "virus", ...settings, lambda: 0.9 };
    const found = await choose(ATTACKS, chosen).rows(data(), victim);
    const mixed = await choose(ATTACKS, { name: "mixing" }).rows(data(), victim);
    expect(found.rows).toHaveLength(8);
    expect(found.rows.filter((row) => row.harmful)).toHaveLength(2);
    for (const slot of [0, 1]) expect(logOddsOf(found.rows[slot]!)).toBeLessThan(logOddsOf(mixed.rows[slot]!));
    expect(found.files).toBeUndefined();
    expect(found.record).toMatchObject({ optimisedRows: 2 });
    expect(found.record?.guardLoss).toBeLessThan(found.record?.guardLossBefore ?? 0);
    expect(await choose(ATTACKS, chosen).rows(data(), victim)).toEqual(found);
  });

  test("says how far it is, and is asked before each change that it tries whether to go on", async () => {
    const rows = (watch: Watch) => choose(ATTACKS, { name: "virus", ...settings }).rows(data(), { ...victim, watch });
    const told: number[] = [];
    await rows((_, done, total) => told.push(done) && expect(total).toBe(2 * settings.iterations));
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.length).toBeGreaterThan(2 * settings.iterations * settings.candidates);
    expect(Math.floor(told.at(-1) as number)).toBe(2 * settings.iterations - 1);
    const stop = new BoosterError("STOPPED", "asked to");
    const midway = rows((_, done) => {
      if (done > 1 && done % 1 > 0) throw stop;
    });
    await expect(midway).rejects.toBe(stop);
  });

  test("written rows are marked", async () => {
    const chosen = { name: "virus", ...settings, iterations: 1, writeOptimised: true };
    const { files } = await choose(ATTACKS, chosen).rows(data(), victim);
    const lines = files?.["optimised.jsonl"]
      ?.trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    for (const line of lines ?? []) expect(line.redTeam).toBe("virus");
  });
});
