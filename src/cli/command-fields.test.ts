import { expect, test } from "vitest";
import { z } from "zod";
import { choice, oneOf, table } from "../choice.ts";
import { defineCommand } from "./command.ts";
import { commandFields } from "./command-fields.ts";

const CHOICES = table({ kind: "choice", unknown: "UNKNOWN_METHOD", unfit: "METHOD_OPTIONS_INVALID" }, [
  choice({
    name: "one",
    create: () => 1,
    options: z.strictObject({ rho: z.number().default(0.1).describe("Size"), own: z.boolean().default(true) }),
  }),
  choice({
    name: "two",
    create: () => 2,
    options: z.strictObject({ rho: z.number().default(2).describe("Radius"), odd: z.number().optional() }),
  }),
  choice({ name: "three", create: () => 3, options: z.strictObject({ odd: z.enum(["a", "b"]).default("a") }) }),
]);

const command = (settingsInFile?: true) =>
  defineCommand({
    details: "",
    examples: [],
    options: z.strictObject({ method: oneOf(CHOICES) }),
    ...(settingsInFile && { settingsInFile }),
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
