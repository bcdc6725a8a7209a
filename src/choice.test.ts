import { expect, test } from "vitest";
import { z } from "zod";
import { choice, choose, closest, didYouMean, editDistance, file, filesIn, oneOf, table } from "./choice.ts";

const CAKES = table({ kind: "cake", unknown: "UNKNOWN_ATTACK", unfit: "ATTACK_OPTIONS_INVALID" }, [
  choice({ name: "plain", options: z.strictObject({}), create: () => "plain" }),
  choice({
    name: "layered",
    options: z.strictObject({ layers: z.int().positive().default(3), icing: z.string().optional() }),
    create: ({ layers }) => "-".repeat(layers),
  }),
]);

test("what is chosen is made of its completed settings", () => {
  expect(choose(CAKES, { name: "layered" })).toBe("---");
  expect(choose(CAKES, { name: "layered", layers: 2 })).toBe("--");
});

test("an unknown name and settings that do not fit have the table's codes", () => {
  expect(() => choose(CAKES, { name: "stone" })).toThrow(
    expect.objectContaining({ code: "UNKNOWN_ATTACK", message: "no such cake; expected plain, layered; found stone" }),
  );
  expect(() => choose(CAKES, { name: "layered", layers: 0 })).toThrow(
    expect.objectContaining({ code: "ATTACK_OPTIONS_INVALID" }),
  );
});

test("as data a choice is a name, or a name with settings, and comes out complete with the name first", () => {
  const schema = oneOf(CAKES).default({ name: "plain" });
  expect(schema.parse(undefined)).toEqual({ name: "plain" });
  expect(JSON.stringify(schema.parse("layered"))).toBe('{"name":"layered","layers":3}');
  expect(schema.parse({ name: "layered", icing: "lemon" })).toEqual({ name: "layered", layers: 3, icing: "lemon" });
});

test("a slip in data is told with its place and what was meant", () => {
  const faults = (cake: unknown) =>
    z
      .strictObject({ cake: oneOf(CAKES) })
      .safeParse({ cake })
      .error?.issues.map(({ path, message }) => [path.join("."), message]);
  expect(faults("layred")).toEqual([["cake.name", 'there is no cake "layred". Did you mean layered?']]);
  expect(faults({ name: "layered", layer: 2 })).toEqual([
    ["cake", "layered has no setting layer. Did you mean layers?"],
  ]);
  expect(faults({ name: "layered", layers: "two" })?.[0]?.[0]).toBe("cake.layers");
  expect(faults(3)).toEqual([["cake", "a name, or a name with settings"]]);
});

test("the distance counts insertions, deletions, substitutions and exchanges of neighbours", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("same", "same")).toBe(0);
  expect(editDistance("modle", "model")).toBe(1);
  expect(editDistance("ca", "abc")).toBe(3);
});

test("a slip has a closest name, another word has none", () => {
  const names = ["lambda", "alpha", "learningRate"];
  expect(closest("lamda", names)).toBe("lambda");
  expect(closest("learning_rate", names)).toBe("learningRate");
  expect(closest("temperature", names)).toBeUndefined();
  expect(didYouMean("temperature", names)).toBe("Known are: lambda, alpha, learningRate");
});

test("files are found where their schema says so, in lists and choices too, and not by what a key is called", () => {
  const Rows = z.preprocess(
    (value) => (typeof value === "string" ? { path: value } : value),
    z.strictObject({ path: file(z.string()) }),
  );
  const judges = table({ kind: "moderator", unknown: "MODERATOR_UNKNOWN", unfit: "MODERATOR_SETTINGS" }, [
    choice({ name: "learned", options: z.strictObject({ weights: file(z.string()) }), create: () => 0 }),
    choice({ name: "remote", options: z.strictObject({ path: z.string() }), create: () => 1 }),
  ]);
  const schema = z.strictObject({
    rows: Rows.optional(),
    avoid: z.array(Rows).default([]),
    judge: oneOf(judges),
  });
  const found = (options: unknown) => filesIn(schema, schema.parse(options));
  expect(found({ rows: "a", avoid: ["b", "c"], judge: { name: "learned", weights: "d" } })).toEqual([
    "a",
    "b",
    "c",
    "d",
  ]);
  expect(found({ judge: { name: "remote", path: "not a file" } })).toEqual([]);
});
