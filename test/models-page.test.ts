/** docs/models.md promises a table of all families: none is missing, and what it says of GGUF is the code's. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { ARCHITECTURES } from "../src/models/index.ts";

const page = readFileSync(resolve(import.meta.dirname, "../docs/models.md"), "utf8");

test("every family is in the table of docs/models.md, and whether its GGUF files are read and written", () => {
  const [table = ""] = page.split("\n\n").filter((part) => part.startsWith("| `model_type`"));
  const listed = table
    .split("\n")
    .slice(2)
    .map((row) => row.split("|").map((cell) => cell.trim()))
    .map(([, name, , , gguf]) => [name, gguf]);
  const told = ARCHITECTURES.map(({ name, gguf }) => [
    `\`${name}\``,
    gguf === undefined ? "no" : gguf.write === undefined ? "read" : "read, written",
  ]);
  expect(listed).toEqual(told);
});
