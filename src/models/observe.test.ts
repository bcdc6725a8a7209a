import { expect, test } from "vitest";
import { randomRows, randomTensors, tinyModel } from "../../test/conformance/tiny-model.ts";
import { ops } from "../autodiff/index.ts";
import { IGNORE } from "../formats/labels.ts";
import { Device } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Example } from "./batch.ts";
import { columnSquares, gram, observer } from "./observe.ts";

const model = tinyModel();
const host = randomTensors(model.weights, "float32");
const rows = randomRows(model, [5, 1, 4]);
const FIRST = "model.layers.0.self_attn.q_proj";

async function tinyBase() {
  const device = new Device({ threads: 1 });
  return { device, model, weights: await device.uploadAll(Object.entries(host)) };
}

/** The first layer's linears see the normed embedding: computed here without the model. */
function firstInputs({ inputIds }: Example): number[][] {
  const embedding = host["model.embed_tokens.weight"] as HostTensor<"float32">;
  const norm = host["model.layers.0.input_layernorm.weight"] as HostTensor<"float32">;
  return Array.from(inputIds, (id) => {
    const x = Array.from(embedding.data.slice(id * 8, id * 8 + 8));
    const rms = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / 8 + 1e-6);
    return x.map((v, i) => (v / rms) * (norm.data[i] as number));
  });
}

const gramOf = (tokens: readonly number[][]) =>
  Array.from({ length: 64 }, (_, at) =>
    tokens.reduce((sum, x) => sum + (x[Math.floor(at / 8)] as number) * (x[at % 8] as number), 0),
  );

const NONE = { scale: 1, tensors: new Map() };

function close(found: ArrayLike<number> | undefined, expected: readonly number[]) {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Number(found?.[i])).toBeCloseTo(value, 4);
  });
}

test("squares of columns and Gram matrices of the first layer's inputs are those of the normed embedding", async () => {
  const seen = await observer(await tinyBase(), NONE, {
    reduce: (linear, x) => (linear === FIRST ? { squares: columnSquares(x), gram: gram(x) } : {}),
  });
  const sums = await seen.sum(new Map(), rows);
  const tokens = rows.flatMap(firstInputs);
  const expected = gramOf(tokens);
  close(sums.get("gram")?.data, expected);
  close(
    sums.get("squares")?.data,
    expected.filter((_, at) => at % 9 === 0),
  );
  const parts = [];
  for await (const row of seen.each(new Map(), rows)) parts.push(row.squares);
  expect(parts).toHaveLength(rows.length);
});

test("answers alone: the tokens that carry a label, not those that predict them", async () => {
  const seen = await observer(await tinyBase(), NONE, {
    tokens: "answer",
    reduce: (linear, x) => (linear === FIRST ? { gram: gram(x) } : {}),
  });
  const answered = rows.filter(({ inputIds }) => inputIds.length > 1);
  const sums = await seen.sum(new Map(), answered);
  const tokens = answered.flatMap((row) => firstInputs(row).filter((_, t) => t > 0 && row.labels[t] !== IGNORE));
  close(sums.get("gram")?.data, gramOf(tokens));
  await expect(seen.sum(new Map(), [{ inputIds: [1, 2], labels: [IGNORE, IGNORE] }])).rejects.toMatchObject({
    code: "NO_TRAINED_TOKENS",
  });
});

test("every linear is seen, trained weights take the place of the model's, and a reduction may use factors", async () => {
  const base = await tinyBase();
  const factors = new Map(Object.entries(randomTensors([[`${FIRST}.lora_A.weight`, [2, 8]]], "float32", 3)));
  const seen = await observer(
    base,
    { scale: 1, tensors: factors },
    {
      reduce(linear, x, params) {
        const down = params[`${linear}.lora_A.weight`];
        const inner = down === undefined ? {} : { inner: columnSquares(ops.matmul(x, down, { transB: true })) };
        return { [`${linear}.weight`]: columnSquares(x), ...inner };
      },
    },
  );
  const sums = await seen.sum(factors, rows);
  const linears = [...model.linears.keys()].map((linear) => `${linear}.weight`);
  expect([...sums.keys()].filter((name) => name !== "inner").sort()).toEqual(linears.sort());
  for (const [linear, [, width]] of model.linears) expect(sums.get(`${linear}.weight`)?.shape).toEqual([width]);
  const a = [...factors.values()][0] as HostTensor<"float32">;
  const inner = rows
    .flatMap(firstInputs)
    .map((x) => [0, 1].map((r) => x.reduce((sum, v, i) => sum + v * (a.data[r * 8 + i] as number), 0)));
  close(
    sums.get("inner")?.data,
    [0, 1].map((r) => inner.reduce((sum, y) => sum + (y[r] as number) ** 2, 0)),
  );
  await expect(observer(base, NONE, { reduce: () => ({}) })).rejects.toMatchObject({
    code: "NOTHING_OBSERVED",
  });
});
