/** `docs/methods/` promises that its equations stand where it says, that its defaults are the program's, and that no method is forgotten. */

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { settingsOf } from "../src/choice.ts";
import { ATTACKS } from "../src/methods/attacks/index.ts";
import { DEFENCES } from "../src/methods/registry.ts";
import { TrainingOptions } from "../src/stages/options.ts";

const root = resolve(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(resolve(root, file), "utf8");

/** Cells of the rows of a page's tables. */
const rowsOf = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .slice(1, -1)
        .split(" | ")
        .map((cell) => cell.trim()),
    );

const pages = new Map(
  readdirSync(resolve(root, "docs/methods"))
    .filter((file) => file !== "README.md")
    .map((file) => [file.replace(".md", ""), read(`docs/methods/${file}`)]),
);

const CODE = /^`(.+)`$/;
const inTicks = (cell = ""): string => CODE.exec(cell)?.[1] ?? "";
const places = [...pages].flatMap(([page, text]) =>
  rowsOf(text)
    .filter(([, file]) => inTicks(file).endsWith(".ts"))
    .map(([, file, code]) => ({ page, file: inTicks(file), code: inTicks(code) })),
);

/** Option names and defaults of a page, as it writes them. */
const defaultsOf = (page: string): [string, string][] =>
  rowsOf(/^## Options$([\s\S]*?)(^## |$(?![\s\S]))/m.exec(pages.get(page) ?? "")?.[1] ?? "")
    .filter(([name]) => CODE.test(name ?? ""))
    .map(([name, value = ""]): [string, string] => [inTicks(name), value]);

const asWritten = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : String(value));

describe("equations", () => {
  test.each([...pages.keys()])("%s names code", (page) => {
    expect(places.some((place) => place.page === page)).toBe(true);
  });

  test.each(places)("$page: $file has $code", ({ file, code }) => {
    expect(code).not.toBe("");
    expect(read(file).includes(code)).toBe(true);
  });
});

describe("defaults", () => {
  test.each([
    ...DEFENCES.rows.map(({ name }) => ({ name, options: settingsOf(DEFENCES, { name }) })),
    ...ATTACKS.rows.map(({ name }) => ({ name, options: settingsOf(ATTACKS, { name }) })),
  ])("$name has a page, and its options are the program's", ({ name, options }) => {
    expect(pages.get(name)?.split("\n")[0]).toMatch(new RegExp(`^# .+ \\(\`${name}\`\\)$`));
    const expected = Object.entries(options).map(([option, value]) => [option, asWritten(value)]);
    expect(defaultsOf(name)).toEqual(expected);
  });

  test("training options", () => {
    const options: Readonly<Record<string, unknown>> = TrainingOptions.parse({});
    const listed = defaultsOf("common");
    expect(listed.length).toBeGreaterThan(0);
    expect(listed).toEqual(listed.map(([option]) => [option, asWritten(options[option])]));
  });
});
