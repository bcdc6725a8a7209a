/** A number that is none never reaches the weights, the optimiser's moments, or the next step. */
import { expect, test } from "vitest";
import { Device } from "../../src/runtime/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { randomRows, tinyModel } from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const batches = {
  alignment: [randomRows(model, [5, 9, 3], 1)],
  harmful: [randomRows(model, [6, 2, 8], 2)],
};
const RATE = 1e-2;

/** What the first weights become, where they end up only in one of the losses, or in all of them. */
const POISONS: readonly (readonly [string, string, number])[] = [
  ["NaN in the head", "lm_head.weight", Number.NaN],
  ["infinity in the embedding", "model.embed_tokens.weight", Number.POSITIVE_INFINITY],
  ["a weight so large that its square overflows", "model.layers.0.self_attn.q_proj.weight", 3e38],
];

test.each(POISONS)("%s: the step is not applied and leaves no trace", async (_, name, poison) => {
  const { program, frozen } = await compileTraining(device, model);
  const reference = (await compileTraining(device, model)).program;
  await program.step(batches, RATE);
  await reference.step(batches, RATE);
  const before = hash(await program.save());

  // On the CPU the device computes with this very array.
  const data = frozen[name]?.data as Float32Array;
  const healthy = data.slice();
  data.fill(poison);
  const skipped = await program.step(batches, RATE);
  expect(skipped).toMatchObject({ applied: 0, updateNorm: 0 });
  expect(hash(await program.save())).toBe(before);

  data.set(healthy);
  expect(await program.step(batches, RATE)).toEqual(await reference.step(batches, RATE));
  expect(hash(await program.save())).toBe(hash(await reference.save()));
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])("a learning rate of %d is not applied", async (rate) => {
  const { program } = await compileTraining(device, model);
  const before = hash(await program.save());
  expect(await program.step(batches, rate)).toMatchObject({ applied: 0, updateNorm: 0 });
  expect(hash(await program.save())).toBe(before);
});

test("trained weights that hold a NaN are not made worse, and it is reported", async () => {
  const { program } = await compileTraining(device, model);
  const state = await program.save();
  (state.get("weights") as HostTensor<"float32">).data[3] = Number.NaN;
  await program.load(state);
  const before = hash(await program.save());
  const result = await program.step(batches, RATE);
  expect(result.applied).toBe(0);
  expect(result.loss).toBeNaN();
  expect(hash(await program.save())).toBe(before);
});
