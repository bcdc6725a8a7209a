/** FedIT: what the server makes of its clients, whose rows they read, and that every aggregation trains. */

import { describe, expect, test } from "vitest";
import { device, trainer } from "../../../../test/conformance/trainer.ts";
import { ops, type Tensor } from "../../../autodiff/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { fedit } from "./fedit.ts";
import { options } from "./options.ts";
import { callsOf, stepsToRoundsEnd, stretch } from "./plan.ts";
import { type Aggregate, ROBUST, residual } from "./robust.ts";
import { fedAvg, roundRate } from "./server.ts";

const vector = (values: readonly number[]) => ops.constantTensor(tensor("float64", [values.length], values));
const drawn = (seed: number, size = 5) => {
  const random = new RandomStream(seed, "clients");
  return Array.from({ length: size }, (_, i) => random.normal(i));
};
const START = [0, 0, 0, 0, 0];
const scaled = (values: readonly number[], by: number) => values.map((x) => x * by);

async function made(clients: readonly number[][], build: (clients: Tensor[]) => Aggregate) {
  const program = await device.compile({}, () => ({ global: build(clients.map(vector)).global }));
  return Array.from((await program.run({})).global.data, Number);
}
const robust = (name: keyof typeof ROBUST, clients: readonly number[][], malicious = 1) =>
  made(clients, (given) => ROBUST[name]({ global: vector(START), clients: given, malicious }));
const meanOf = (clients: readonly number[][]) =>
  START.map((_, k) => clients.reduce((sum, x) => sum + (x[k] as number), 0) / clients.length);
const close = (found: readonly number[], expected: readonly number[]) =>
  found.forEach((x, i) => {
    expect(x).toBeCloseTo(expected[i] as number, 9);
  });

describe("aggregation", () => {
  test("the mean is weighed by the clients' data, and of equal clients it is the client", async () => {
    const clients = [drawn(1), drawn(2)];
    const mean = (given: readonly number[][]) =>
      made(given, (parts) => ({
        global: fedAvg({ clients: parts, shares: [ops.constant(0.75, "float64"), ops.constant(0.25, "float64")] }),
      }));
    close(
      await mean(clients),
      START.map((_, k) => 0.75 * (clients[0]?.[k] as number) + 0.25 * (clients[1]?.[k] as number)),
    );
    close(await mean([drawn(1), drawn(1)]), drawn(1));
  });

  test.each([3, 4, 5, 6])("median and trimmed mean of %d clients, by sorting", async (n) => {
    const clients = Array.from({ length: n }, (_, i) => drawn(i));
    const columns = START.map((_, k) => clients.map((x) => x[k] as number).sort((a, b) => a - b));
    close(
      await robust("median", clients),
      columns.map((column) => column[Math.floor((n - 1) / 2)] as number),
    );
    close(
      await robust("trimmed-mean", clients),
      columns.map((column) => column.slice(1, -1).reduce((a, b) => a + b) / (n - 2)),
    );
  });

  test.each(["krum", "dnc"] as const)("%s leaves out the client far off", async (name) => {
    const near = [0, 1, 2].map((seed) => drawn(7).map((x, k) => x + 0.01 * (drawn(seed)[k] as number)));
    const far = scaled(drawn(9), 50);
    for (const place of [0, 2, 3]) {
      const clients = [...near.slice(0, place), far, ...near.slice(place)];
      const found = await robust(name, clients);
      expect(Math.max(...found.map((x, k) => Math.abs(x - (drawn(7)[k] as number))))).toBeLessThan(0.05);
    }
  });

  test("FoolsGold: clients that say the same have no say; where all do, the mean", async () => {
    const [twin, other] = [drawn(1), drawn(2).map((x, k) => x * (k % 2 === 0 ? 1 : -1))];
    close(await robust("foolsgold", [twin, other, twin]), other);
    close(await robust("foolsgold", [twin, twin, twin]), twin);
  });

  test("residual reweighting of three clients is the mean; of five it is not drawn by one far off", async () => {
    const three = [drawn(1), drawn(2), drawn(3)];
    close(await robust("residual", three), meanOf(three));
    const near = [0, 1, 2, 3].map((seed) => drawn(7).map((x, k) => x + 0.01 * (drawn(seed)[k] as number)));
    const clients = [...near, drawn(7).map((x) => x + 100)];
    const found = await made(clients, (given) =>
      residual({ global: vector(START), clients: given, malicious: 1 }, { lambda: 2, threshold: 0.05 }),
    );
    expect(Math.max(...found.map((x, k) => Math.abs(x - (drawn(7)[k] as number))))).toBeLessThan(0.1);
  });
});

test("rates of rounds: the first whole, half a cosine to the least", () => {
  expect(roundRate(0, 100, 5e-5, 1e-6)).toBeCloseTo(5e-5, 12);
  expect(roundRate(50, 100, 5e-5, 1e-6)).toBeCloseTo(2.55e-5, 12);
  expect(roundRate(7, 100, 1, 1)).toBe(1);
});

describe("the plan", () => {
  const chosen = options.parse({ clients: 4, perRound: 2, localSteps: 3 });
  const facts = {
    rows: { user: 42 },
    seed: 7,
    steps: 60,
    stepsPerEpoch: 21,
    batch: () => Int32Array.of(0, 1),
  } as unknown as Parameters<typeof callsOf>[1];
  const calls = Array.from({ length: 60 }, (_, step) => callsOf(step, facts, chosen));

  test("a client reads rows of its own stretch alone, none twice before all came once", () => {
    for (let first = 0; first < 60; first += 3) {
      const rows = calls.slice(first, first + 3).flatMap(([call]) => [...(call?.rows?.user ?? [])]);
      const of = [0, 1, 2, 3].filter((client) => {
        const [from, to] = stretch(42, 4, client);
        return rows.every((row) => from <= row && row < to);
      });
      expect(of).toHaveLength(1);
      expect(new Set(rows).size).toBe(rows.length);
    }
    expect(stretch(42, 4, 3)[1]).toBe(42);
  });

  test("each client's last step is collected, each round's is followed by the server", () => {
    const programs = calls.slice(0, 6).map((call) => call.map(({ program }) => program));
    expect(programs).toEqual([
      ["first"],
      ["step"],
      ["step", "collect0"],
      ["first"],
      ["step"],
      ["step", "collect1", "aggregate"],
    ]);
    expect(fedit.create(chosen).schedule.extraSteps({ ...facts, steps: 61 })).toBe(5);
    expect(() => stepsToRoundsEnd({ steps: 6, rows: { user: 3 } }, chosen)).toThrow("fewer rows than clients");
    expect(() => stepsToRoundsEnd(facts, { ...chosen, perRound: 5 })).toThrow("more clients than there are");
  });
});

test.each(["fedavgm", "fedadam", "fedprox", "krum", "residual"])("%s trains", async (aggregation) => {
  const { stepper, run, steps } = await trainer("fedit", { clients: 4, perRound: 3, localSteps: 1, aggregation });
  await stepper.prepare();
  for (const { applied } of await run(0, steps)) expect(applied).toBe(true);
});
