/** `docs/data.md` promises every form of rows, with the columns by which it is told. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { ENCODINGS } from "../src/data/encodings.ts";
import { FORMATS, type RowFormat } from "../src/data/formats.ts";
import { FILE_KINDS } from "../src/data/sources.ts";

const page = readFileSync(resolve(import.meta.dirname, "../docs/data.md"), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| /, "")));

test("its table of forms is the program's, in order", () => {
  const told = Object.entries<RowFormat>(FORMATS).map(([name, { columns }]) => [
    `\`${name}\``,
    columns.map((column) => `\`${column}\``).join(" + "),
  ]);
  const names = new Set(told.map(([name]) => name));
  expect(rows.filter(([name = ""]) => names.has(name)).map(([name, columns]) => [name, columns])).toEqual(told);
});

test("a form's harmful reading is told where it has one", () => {
  for (const [name, { harmful }] of Object.entries<RowFormat>(FORMATS)) {
    const text = rows.find(([first]) => first === `\`${name}\``)?.[2] ?? "";
    expect([name, /as harmful data/i.test(text)]).toEqual([name, harmful !== undefined]);
  }
});

test("every kind of file and every encoding is named", () => {
  for (const kind of FILE_KINDS) expect(page).toContain(`\`.${kind}\``);
  for (const encoding of ENCODINGS) expect(page.toLowerCase()).toContain(encoding.replace(/[lb]e$/, ""));
});
