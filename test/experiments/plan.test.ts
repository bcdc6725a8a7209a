/** The plan of an experiment: pure, so that it is looked at without a model or data. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { type Hashes, needsOf, type Piece, planOf } from "../../src/experiments/plan.ts";

/** Experiments of version 0.1: their options, hashes of what they read, and the folders of their runs. */
const OLD = JSON.parse(readFileSync(join(import.meta.dirname, "keys-0.1.json"), "utf8")) as Record<
  string,
  { options: object; hashes: Hashes; keys: Record<string, string[]> }
>;
const { options, hashes } = OLD.merge as (typeof OLD)[string];
const planned = (changes: object = {}, read: Hashes = hashes) =>
  planOf(ExperimentOptions.parse({ ...options, ...changes }), read);
const keysOf = (pieces: readonly Piece[]) => new Set(pieces.map(({ key }) => key));

test.each(Object.keys(OLD))("what version 0.1 computed has the same keys: %s", (name) => {
  const { options, hashes, keys } = OLD[name] as (typeof OLD)[string];
  const { pieces } = planOf(ExperimentOptions.parse(options), hashes);
  for (const [folder, old] of Object.entries(keys)) {
    expect(pieces.flatMap((piece) => (piece.folder === folder ? [piece.key] : [])).sort()).toEqual(old);
  }
});

test("a piece stands behind those that it needs, first seeds first, and cells point at pieces", () => {
  const { pieces, cells } = planned();
  const place = new Map(pieces.map(({ key }, i) => [key, i]));
  expect(place.size).toBe(pieces.length);
  for (const [i, piece] of pieces.entries()) {
    for (const need of needsOf(piece)) expect(place.get(need)).toBeLessThan(i);
  }
  const seeds = pieces.map(({ label }) => Number(/ seed (\d)/.exec(label)?.[1]));
  expect(seeds).toEqual(seeds.toSorted());
  expect(cells.map(({ method, strength, seed }) => [method, strength, seed].join(""))).toEqual(
    [0, 1, 2, 3].flatMap((method) => [0, 1].flatMap((strength) => [0, 1].map((seed) => `${method}${strength}${seed}`))),
  );
  for (const { align, attack, before, after } of cells) {
    for (const key of [align, attack, before, after]) expect(place.has(key)).toBe(true);
  }
});

test("what cells have in common is one piece", () => {
  const one = planned({ methods: [{ method: "sft" }] });
  const more = planned({ methods: [{ method: "sft" }, { method: "antidote" }, { method: ["sft", "shrink"] }] });
  const fresh = more.pieces.filter(({ key }) => !keysOf(one.pieces).has(key));
  // Two repairs of each attacked model, and what comes of them.
  expect(fresh.map(({ stage }) => stage)).toEqual(Array(8).fill(["repair", "evaluate"]).flat());
});

test("a piece's key follows all that it is made of", () => {
  const [path = ""] = Object.keys(hashes.files).filter((name) => name.includes("attack-0"));
  const other = planned({}, { ...hashes, files: { ...hashes.files, [path]: { [path]: "other" } } });
  const changed = other.pieces.filter(({ key }) => !keysOf(planned().pieces).has(key));
  expect(new Set(changed.map(({ label }) => / seed 0: attack/.test(label)))).toEqual(new Set([true]));
  expect(changed.some(({ stage }) => stage === "evaluate")).toBe(true);
  const elsewhere = planned({}, { ...hashes, models: { model: "other" } });
  expect(elsewhere.pieces.filter(({ key }) => keysOf(planned().pieces).has(key))).toEqual([]);
  const moved = planned({ out: "elsewhere", jobs: 7, threads: 2 });
  expect(moved.pieces).toEqual(planned().pieces);
});

test("a plan is data: a copy of it says the same", () => {
  const { pieces } = planned();
  expect(JSON.parse(JSON.stringify(pieces))).toEqual(pieces);
});

test("the paper's table is one experiment: Booster's adapter is trained on, the others' is merged", () => {
  const table = ExperimentOptions.parse(parse(readFileSync("examples/paper.yaml", "utf8")));
  const { pieces, cells } = planOf(table, { models: {}, files: {} });
  expect(cells).toHaveLength(3 * 5 * 3);
  const attacks = pieces.filter(({ stage }) => stage === "finetune");
  expect(attacks).toHaveLength(3 * 5 * 3);
  for (const { label, options } of attacks) {
    expect(options).toMatchObject({ adapterPolicy: /^booster /.test(label) ? "continue" : "merge-and-fresh" });
  }
  for (const { attack, after } of cells) expect(pieces.find(({ key }) => key === after)?.on).toBe(attack);
});

test("what a method and a strength say for themselves, and a scale that holds whatever the rank is", () => {
  const attacks = planned({
    methods: [{ method: "sft" }, { method: "vaccine", attack: { batchSize: 2, weightDecay: 0.3 } }],
    strengths: [{ weightDecay: 0 }, { loraRank: 8 }, { loraRank: 64, batchSize: 3 }, { loraAlpha: 1 }],
    seeds: [0],
    attack: { ...(options as { attack: object }).attack, loraRank: 16, loraScale: 0.25 },
  }).pieces.filter(({ stage }) => stage === "finetune");
  const told = attacks.map(({ options }) => {
    const { loraRank, loraAlpha, batchSize, weightDecay } = options as Readonly<Record<string, unknown>>;
    return [loraRank, loraAlpha, batchSize, weightDecay].join(" ");
  });
  expect(told).toEqual([
    ...["16 4 4 0", "8 2 4 0.1", "64 16 3 0.1", "16 1 4 0.1"],
    ...["16 4 2 0", "8 2 2 0.3", "64 16 3 0.3", "16 1 2 0.3"],
  ]);
  const twice = () => planned({ strengths: [{ loraAlpha: 1, loraScale: 1 }] });
  expect(twice).toThrow(expect.objectContaining({ code: "OPTIONS_CONFLICT" }));
});
