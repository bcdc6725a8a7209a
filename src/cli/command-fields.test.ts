import { expect, test } from "vitest";
import { z } from "zod";
import { defineCommand } from "./command.ts";
import { commandFields } from "./command-fields.ts";

const rows = [
  {
    name: "one",
    options: z.strictObject({ rho: z.number().default(0.1).describe("Size"), own: z.boolean().default(true) }),
  },
  {
    name: "two",
    options: z.strictObject({ rho: z.number().default(2).describe("Radius"), odd: z.number().optional() }),
  },
  { name: "three", options: z.strictObject({ odd: z.enum(["a", "b"]).default("a") }) },
];

const command = (fileOnly?: true) =>
  defineCommand({
    details: "",
    examples: [],
    options: z.strictObject({ method: z.looseObject({ name: z.string() }) }),
    named: [{ group: "method", rows, ...(fileOnly === undefined ? {} : { fileOnly }) }],
    run: async () => undefined,
  });

test("rows of a table that call an option alike share one flag, which says what it means to each", () => {
  const fields = new Map(
    Object.values(commandFields(command()))
      .flat()
      .map((field) => [field.path.join("."), field]),
  );
  expect([...fields.keys()]).toEqual(["method.name", "method.rho", "method.own", "method.odd"]);
  expect(fields.get("method.name")?.choices).toEqual(["one", "two", "three"]);
  expect(fields.get("method.rho")).toMatchObject({
    kind: "number",
    description: "one: Size (default: 0.1); two: Radius (default: 2)",
  });
  expect(fields.get("method.rho")).not.toHaveProperty("default");
  expect(fields.get("method.own")).toMatchObject({ kind: "boolean", default: true });
  expect(fields.get("method.odd")?.kind).toBe("structure");
});

test("tables for the file alone have no flags", () => {
  expect(
    Object.values(commandFields(command(true)))
      .flat()
      .map(({ path }) => path.join(".")),
  ).toEqual(["method.name"]);
});
