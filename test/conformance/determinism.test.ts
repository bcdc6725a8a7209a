/** Same seed, same bytes. */
import { expect, test } from "vitest";
import { Device } from "../../src/runtime/index.ts";
import { randomRows, tinyModel } from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

/**
 * No matrix product of this model sums over more than 128 numbers. ONNX Runtime's CPU kernel adds up longer rows in
 * blocks, and where a product has few columns the number of threads decides how it is cut, hence the order of the sums
 * and the last digit. For larger models the promise holds for each number of threads by itself.
 */
const model = tinyModel({
  hidden_size: 64,
  intermediate_size: 128,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  vocab_size: 100,
});

const batches = {
  alignment: [randomRows(model, [9, 16, 5, 12, 7, 3], 1)],
  harmful: [randomRows(model, [11, 4, 14, 8, 6], 2)],
};

async function trainedBytes(threads: number, seed = 1): Promise<string> {
  const { program } = await compileTraining(new Device({ threads }), model, { seed });
  const log = [];
  for (let i = 0; i < 5; i++) log.push(await program.step(batches, 1e-2));
  return `${hash(await program.save())} ${JSON.stringify(log)}`;
}

test("the same weights, moments and metrics, bit for bit, twice and with 1 and 2 threads", async () => {
  const first = await trainedBytes(1);
  expect(await trainedBytes(1)).toBe(first);
  expect(await trainedBytes(2)).toBe(first);
  expect(await trainedBytes(2)).toBe(first);
});

test("another seed gives other bytes", async () => {
  expect(await trainedBytes(1, 2)).not.toBe(await trainedBytes(1));
});
