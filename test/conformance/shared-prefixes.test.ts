/** What rows have in common is computed once: the same numbers as with every row apart, and as a tree without a single read by number. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dim,
  ops,
  type Shape,
  type Tensor,
  type TensorType,
  type Tree,
  valueAndGrad,
} from "../../src/autodiff/index.ts";
import {
  type Attend,
  batchOf,
  batchTypes,
  createModel,
  type Example,
  IGNORE,
  packBatch,
  tokenLoss,
  weightsOf,
} from "../../src/models/index.ts";
import { prefixTree } from "../../src/models/prefix-tree.ts";
import { maskOf } from "../../src/nn/index.ts";
import { Device, typesOf } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { loraShapes, numbers, randomTensors, relativeError, tinyModel } from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const CHUNKS = 2;
const WINDOW = 3;

/** The columns whose successor a row learns. */
const askedOf = ({ labels }: Example): number[] =>
  Array.from({ length: labels.length - 1 }, (_, t) => t).filter((t) => labels[t + 1] !== IGNORE);

interface Node {
  readonly id: number;
  readonly depth: number;
  /** Labels that rows learn as its successor. */
  readonly successors: number[];
  readonly below: Node[];
}

/** Tokens depth first: of each its node, and where its subtree ends. */
function depthFirst(rows: readonly Example[]): { node: Node; end: number }[] {
  const roots: Node[] = [];
  for (const row of rows) {
    const asked = askedOf(row);
    let level = roots;
    for (let t = 0; t < row.inputIds.length; t++) {
      const id = row.inputIds[t] as number;
      const isCommon = t < (asked[0] ?? 0);
      // A node with successors stands for itself alone, and so does all that is below it.
      const known = level.find((node) => isCommon && node.id === id && node.successors.length === 0 && open.has(node));
      const node = known ?? { id, depth: t, successors: [], below: [] };
      if (known === undefined) level.push(node);
      if (isCommon) open.add(node);
      if (asked.includes(t)) node.successors.push(row.labels[t + 1] as number);
      level = node.below;
    }
  }
  const list: { node: Node; end: number }[] = [];
  const visit = (node: Node) => {
    const entry = { node, end: 0 };
    list.push(entry);
    node.below.forEach(visit);
    entry.end = list.length;
  };
  roots.forEach(visit);
  return list;
}
const open = new WeakSet<Node>();

const float64 = (...shape: Shape): TensorType => ({ dtype: "float64", shape });
const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });
const treeTypes = {
  ids: int32(dim("n")),
  depth: int32(dim("n")),
  hidden: { dtype: "float64", shape: [dim("n"), dim("n")] } as TensorType,
  picked: float64(dim("labelled"), dim("n")),
  labels: float64(dim("labelled"), 11),
  shares: float64(dim("labelled")),
};

/** The tree of a batch as dense matrices: key k is visible to query q iff k <= q < the end of k's subtree. */
function denseTree(rows: readonly Example[], window: number | undefined) {
  const list = depthFirst(rows);
  const n = list.length;
  const isSeen = (q: number, k: number) => {
    const [query, key] = [list[q], list[k]] as [(typeof list)[number], (typeof list)[number]];
    return k <= q && q < key.end && query.node.depth - key.node.depth < (window ?? Number.POSITIVE_INFINITY);
  };
  const learned = list.flatMap(({ node }, i) => node.successors.map((label) => ({ i, label })));
  const of = <T>(items: readonly T[], width: number, at: (item: T, column: number) => boolean) =>
    tensor(
      "float64",
      [items.length, width],
      items.flatMap((item) => Array.from({ length: width }, (_, c) => Number(at(item, c)))),
    );
  const share = Math.fround(1 / learned.length);
  return {
    ids: tensor(
      "int32",
      [n],
      list.map(({ node }) => node.id),
    ),
    depth: tensor(
      "int32",
      [n],
      list.map(({ node }) => node.depth),
    ),
    hidden: of([...list.keys()], n, (q, k) => !isSeen(q, k)),
    picked: of(learned, n, ({ i }, c) => i === c),
    labels: of(learned, 11, ({ label }, c) => label === c),
    shares: tensor(
      "float64",
      [learned.length],
      learned.map(() => share),
    ),
  };
}

describe.each([undefined, WINDOW])("window %s", (window) => {
  const model =
    window === undefined
      ? tinyModel()
      : createModel({
          model_type: "mistral",
          hidden_size: 8,
          intermediate_size: 12,
          num_hidden_layers: 2,
          num_attention_heads: 4,
          num_key_value_heads: 2,
          vocab_size: 11,
          sliding_window: WINDOW,
        });
  const weights = { ...randomTensors(model.weights, "float64"), ...randomTensors(loraShapes(model), "float64", 2) };
  const trained = [
    ...loraShapes(model).keys(),
    ...[...model.weights.keys()].filter((name) => /embed|layers.0/.test(name)),
  ];

  /** Loss and gradient, and the gradient of a function of the gradient: what exact second derivatives go through. */
  const derived = (loss: (weights: Tree) => Tensor, all: Tree): Tree => {
    const at = Object.fromEntries(trained.map((name) => [name, all[name] as Tensor]));
    const of = (w: Tree) => valueAndGrad((v) => loss({ ...all, ...v }))(w);
    const { value, grad } = of(at);
    const second = valueAndGrad((w) =>
      Object.values(of(w).grad)
        .map((g) => ops.sum(ops.mul(g, g)))
        .reduce((a, b) => ops.add(a, b)),
    )(at).grad;
    const named = (tag: string, tree: Tree) =>
      Object.fromEntries(Object.entries(tree).map(([name, x]) => [`${tag} ${name}`, x]));
    return { value, ...named("d", grad), ...named("d2", second) };
  };
  const packed = device.compile({ weights: typesOf(weights), batch: batchTypes("b", CHUNKS) }, (given) =>
    derived(
      (all) =>
        tokenLoss(model, weightsOf(model, all, { scale: 0.5, tensors: all }), batchOf(given.batch), { chunks: CHUNKS }),
      given.weights,
    ),
  );
  const again = device.compile({ weights: typesOf(weights), batch: batchTypes("b", CHUNKS) }, (given) =>
    derived(
      (all) =>
        tokenLoss(model, weightsOf(model, all, { scale: 0.5, tensors: all }), batchOf(given.batch), {
          chunks: CHUNKS,
          recompute: true,
        }),
      given.weights,
    ),
  );
  const dense = device.compile({ weights: typesOf(weights), tree: treeTypes }, ({ weights: all, tree }) =>
    derived((all) => {
      const own = weightsOf(model, all, { scale: 0.5, tensors: all });
      const n = tree.ids.dim(0);
      const heads = (x: Tensor, count: number) => ops.transpose(ops.reshape(x, [n, count, 2]), [1, 0, 2]);
      const attend: Attend = (_, q, k, v) => {
        const group = (x: Tensor) =>
          ops.reshape(ops.expand(ops.reshape(heads(x, 2), [2, 1, n, 2]), [2, 2, n, 2]), [4, n, 2]);
        const scores = ops.mul(ops.matmul(heads(q, 4), group(k), { transB: true }), Math.SQRT1_2);
        const masked = ops.add(scores, maskOf(ops.less(0.5, tree.hidden), "float64"));
        return ops.reshape(ops.transpose(ops.matmul(ops.softmax(masked), group(v)), [1, 0, 2]), [n, 8]);
      };
      const where = { positions: tree.depth, length: ops.constant(1, "int32"), attend };
      const states = ops.matmul(tree.picked, model.hidden({ weights: own, ids: tree.ids, where }));
      const likely = ops.sum(ops.mul(ops.softmax(own.logits(states)), tree.labels), { axes: [1] });
      return ops.neg(ops.sum(ops.mul(ops.log(likely), tree.shares)));
    }, all),
  );

  const compare = async (rows: readonly Example[]) => {
    const shared = packBatch(rows, { chunks: CHUNKS });
    const apart = packBatch(rows, { chunks: CHUNKS, share: false, join: false });
    const expected = numbers(await (await dense).run({ weights, tree: denseTree(rows, window) }));
    for (const [program, batch] of [
      [packed, shared],
      [packed, apart],
      [again, shared],
    ] as const) {
      const found = await (await program).run({ weights, batch });
      expect(relativeError(numbers(found), expected)).toBeLessThan(1e-9);
    }
  };

  const row = (inputIds: number[], from: number): Example => ({
    inputIds,
    labels: inputIds.map((id, t) => (t < from ? IGNORE : id)),
  });
  test.each([
    ["one row", [row([1, 2, 3], 1)]],
    ["nothing in common", [row([1, 2, 3], 1), row([4, 2, 3], 2)]],
    ["all rows equal", Array.from({ length: 5 }, () => row([1, 2, 3, 4, 5], 3))],
    ["more rows than read one token", Array.from({ length: 35 }, (_, i) => row([1, 2, 3, i % 11], 3))],
    ["one row inside another", [row([1, 2, 3, 4], 3), row([1, 2, 3, 4, 5, 6], 5)]],
    ["equal prompts, other answers", [row([1, 2, 3, 4], 3), row([1, 2, 3, 5], 3)]],
    ["a row that learns nothing", [row([1, 2, 3, 4], 3), row([1, 2, 3, 4], 4)]],
    ["trained from the start", [row([1, 2, 3], 0), row([1, 2, 3], 0)]],
    [
      "rows of several blocks of queries",
      [0, 1].map((i) =>
        row(
          Array.from({ length: 260 + 40 * i }, (_, t) => (t < 20 ? 1 : ((i + 1) * t) % 11)),
          40,
        ),
      ),
    ],
  ])("%s", (_, rows) => compare(rows));

  test("any rows", async () => {
    const rows = fc.array(
      fc
        .record({
          ids: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 2, maxLength: 9 }),
          from: fc.integer({ min: 1, max: 8 }),
          holes: fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
        })
        .map(({ ids, from, holes }) => {
          const whole = row(ids, Math.min(from, ids.length - 1));
          return {
            ...whole,
            labels: Array.from(whole.labels).map((label, t) => (holes[t] && t + 1 < ids.length ? IGNORE : label)),
          };
        }),
      { minLength: 1, maxLength: 24 },
    );
    await fc.assert(fc.asyncProperty(rows, compare), { numRuns: 25 });
  });
});

test("queries are shared out evenly, and no token has more readers than one sum has terms", () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ ids: [...Array(40).keys(), 100 + i], shareable: 40, line: i }));
  const { nodes } = prefixTree(rows);
  expect(nodes.length).toBe(2 * 40 + 20);
  expect(Math.max(...nodes.map(({ readers }) => readers.length))).toBe(16);
  const owned = rows.map((_, row) => nodes.filter(({ owner }) => owner === row).length);
  expect(Math.max(...owned)).toBeLessThanOrEqual(11);
  for (const { readers, owner } of nodes) expect(readers).toContain(owner);
});
