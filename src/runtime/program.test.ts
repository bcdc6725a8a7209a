import { expect, test } from "vitest";
import { ops } from "../autodiff/index.ts";
import { tensor } from "../tensor/tensor.ts";
import { Device } from "./device.ts";
import { State } from "./program.ts";

const float = { dtype: "float32" as const, shape: [2] };
const numbers = (values: readonly number[]) => tensor("float32", [2], values);

test("a program that changes a part of the state leaves the rest where it is", async () => {
  const device = new Device({ threads: 1 });
  const state = new State(
    await device.uploadAll([
      ["a", numbers([1, 2])],
      ["b", numbers([3, 4])],
    ]),
  );
  const types = { a: float, b: float };
  const both = await device.compileStep({}, types, (_, { a, b }) => ({
    outputs: {},
    state: { a: ops.add(a, 1), b: ops.add(b, 1) },
  }));
  const one = await device.compileStep({}, types, (_, { a }) => ({
    outputs: {},
    state: { a: ops.mul(a, 10) },
  }));
  for (const program of [both, one, one, both, one]) {
    await program.run({}, state);
    // What is read and what is written next are never the same memory.
    for (const [name, buffer] of Object.entries(state.writable())) expect(buffer).not.toBe(state.current[name]);
  }
  const numbersOf = async (name: string) =>
    Array.from((await device.download(state.current[name] as never)).data, Number);
  expect(await numbersOf("a")).toEqual([2010, 3010]);
  expect(await numbersOf("b")).toEqual([5, 6]);
});

test("calls since hold are taken back together, and what is kept is never written to", async () => {
  const device = new Device({ threads: 1 });
  const state = new State(
    await device.uploadAll([
      ["a", numbers([1, 2])],
      ["b", numbers([3, 4])],
    ]),
  );
  const program = await device.compileStep({}, { a: float, b: float }, (_, { a }) => ({
    outputs: {},
    state: { a: ops.add(a, 1) },
  }));
  const values = async () =>
    Promise.all(
      ["a", "b"].map(async (name) =>
        Array.from((await device.download(state.current[name] as never)).data as Float32Array),
      ),
    );
  for (const calls of [0, 1, 2, 3, 4]) {
    for (const restore of [true, false]) {
      const before = await values();
      state.hold();
      for (let i = 0; i < calls; i++) await program.run({}, state);
      state.release({ restore });
      const [a, b] = before as [number[], number[]];
      expect(await values()).toEqual(restore ? before : [a.map((x) => x + calls), b]);
      for (const [name, buffer] of Object.entries(state.writable())) expect(buffer).not.toBe(state.current[name]);
      expect(Object.keys(state.writable()).sort()).toEqual(["a", "b"]);
    }
  }
});
