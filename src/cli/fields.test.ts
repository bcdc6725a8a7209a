import { expect, test } from "vitest";
import { z } from "zod";
import { choice, oneOf, table } from "../choice.ts";
import { editorSchema, fieldsOf, keysAt } from "./fields.ts";
import { describeField, flagOf, readFlag } from "./flags.ts";

const Source = z.preprocess(
  (value) => (typeof value === "string" ? { path: value } : value),
  z.strictObject({ path: z.string().min(1), limit: z.int().optional() }),
);

const schema = z.strictObject({
  sampleNumber: z.int().default(1000).describe("Rows"),
  harmful: Source.optional().describe("Harmful rows"),
  avoid: z.array(Source).default([]),
  seeds: z.array(z.int()).default([0, 1]),
  method: z
    .preprocess((value) => value, z.looseObject({ name: z.enum(["sft", "booster"]), lambda: z.number().optional() }))
    .default({ name: "sft" }),
  grid: z.array(z.strictObject({ rate: z.number(), label: z.string() })).optional(),
  fast: z.boolean().default(true),
});

const field = (flag: string) => fieldsOf(schema).find((candidate) => flagOf(candidate.flag) === flag)!;

test("every option has a flag; a group's path or name goes by the group's own", () => {
  expect(fieldsOf(schema).map(({ flag }) => flagOf(flag))).toEqual([
    ...["--sample-number", "--harmful", "--harmful.limit", "--avoid", "--seeds"],
    ...["--method", "--method.lambda", "--grid", "--fast"],
  ]);
  expect(field("--harmful")).toMatchObject({ path: ["harmful", "path"], required: false, description: "Harmful rows" });
});

test("kinds, choices and defaults come from the schema", () => {
  expect(field("--method")).toMatchObject({ kind: "text", choices: ["sft", "booster"], default: "sft" });
  expect(field("--method.lambda")).toMatchObject({ kind: "number", required: false });
  expect(field("--seeds")).toMatchObject({ kind: "list", entries: "number", default: [0, 1] });
  expect(field("--avoid")).toMatchObject({ kind: "list", entries: "text" });
  expect(field("--grid").kind).toBe("structure");
  expect(describeField(field("--sample-number"))).toBe("Rows (default: 1000)");
});

test("flags are read by their kind; what is no number is left for the schema to refuse", () => {
  expect(readFlag(field("--sample-number"), "5e2")).toBe(500);
  expect(readFlag(field("--sample-number"), "many")).toBe("many");
  expect(readFlag(field("--seeds"), "3, 4")).toEqual([3, 4]);
  expect(readFlag(field("--avoid"), "a.jsonl,b.jsonl")).toEqual(["a.jsonl", "b.jsonl"]);
  expect(readFlag(field("--grid"), "[{rate: 0.1, label: weak}]")).toEqual([{ rate: 0.1, label: "weak" }]);
});

test("the schema for editors keeps defaults and allows short forms", () => {
  expect(editorSchema(schema).properties).toMatchObject({
    harmful: { description: "Harmful rows", anyOf: [{ type: "string" }, { type: "object" }] },
    avoid: { items: { anyOf: [{ type: "string" }, { type: "object" }] } },
    seeds: { default: [0, 1] },
  });
});

test("a group that chooses from a table has the table in the editor's schema, alone and in lists", () => {
  const rows = [
    choice({
      name: "booster",
      options: z.strictObject({ lambda: z.number().default(5).describe("Weight") }),
      create: () => undefined,
    }),
  ];
  const one = oneOf(table({ kind: "method", unknown: "UNKNOWN_METHOD", unfit: "METHOD_OPTIONS_INVALID" }, rows));
  const booster = {
    properties: { name: { const: "booster" }, lambda: { default: 5, description: "Weight" } },
    required: ["name"],
    additionalProperties: false,
  };
  const forms = [{ type: "string", enum: ["booster"] }, booster];
  const entry = z.strictObject({
    label: z.string().optional(),
    stages: z
      .union([one, z.array(one)])
      .nonoptional()
      .describe("Stages"),
  });
  const options = z.strictObject({ stages: entry.shape.stages, entries: z.array(entry) });
  const found = editorSchema(options).properties;
  const list = { type: "array", items: { anyOf: forms } };
  expect(found?.stages).toMatchObject({ description: "Stages", anyOf: [...forms, list] });
  expect(found?.entries?.items?.anyOf).toMatchObject([...forms, list, { properties: { label: { type: "string" } } }]);
});

test("the keys of an object go by its form, and those of a choice by its name", () => {
  const one = oneOf(
    table({ kind: "method", unknown: "UNKNOWN_METHOD", unfit: "METHOD_OPTIONS_INVALID" }, [
      choice({ name: "a", options: z.strictObject({ x: z.number() }), create: () => undefined }),
      choice({ name: "b", options: z.strictObject({ y: z.number() }), create: () => undefined }),
    ]),
  );
  const options = z.strictObject({ list: z.array(z.strictObject({ of: z.union([one, z.array(one)]) })) });
  const values = { list: [{ of: { name: "b" } }, { of: [{ name: "a" }] }] };
  expect(keysAt(options, [], values)).toEqual(["list"]);
  expect(keysAt(options, ["list", 0], values)).toEqual(["of"]);
  expect(keysAt(options, ["list", 0, "of"], values)).toEqual(["name", "y"]);
  expect(keysAt(options, ["list", 1, "of", 0], values)).toEqual(["name", "x"]);
});
