/** PAPERS.md promises that its equations stand where it says, that its defaults are the program's, and that no method is forgotten. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { ATTACKS, configureAttack } from "../src/methods/attacks/index.ts";
import { configureMethod, METHODS } from "../src/methods/registry.ts";
import { configureTransform, TRANSFORMS } from "../src/methods/transform.ts";
import { TrainingOptions } from "../src/stages/options.ts";

const root = resolve(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(resolve(root, file), "utf8");

/** The page by heading: its tables as rows of cells. */
const sections = new Map(
  read("PAPERS.md")
    .split(/^## /m)
    .slice(1)
    .map((text): [string, string[][]] => {
      const [heading = "", ...lines] = text.split("\n");
      const rows = lines
        .filter((line) => line.startsWith("|"))
        .map((line) =>
          line
            .slice(1, -1)
            .split(" | ")
            .map((cell) => cell.trim()),
        );
      return [heading, rows];
    }),
);

const PLACE = /`([\w./-]+\.ts):(\d+)`/g;
const CODE = /^`(.+)`$/;
const places = [...sections.values()]
  .flat()
  .flatMap(([, place = "", code = ""]) =>
    [...place.matchAll(PLACE)].map(([, file = "", line = ""]) => ({ file, line, code: CODE.exec(code)?.[1] ?? "" })),
  );

/** Option names and defaults of a section, as the page writes them. */
const defaultsOf = (heading: string): [string, string][] =>
  (sections.get(heading) ?? [])
    .filter(([name = "", , source]) => CODE.test(name) && source !== undefined)
    .map(([name = "", value = ""]): [string, string] => [CODE.exec(name)?.[1] ?? "", value]);

const asWritten = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : String(value));
const headingOf = (method: string): string => [...sections.keys()].find((h) => h.endsWith(`(\`${method}\`)`)) ?? "";

describe("equations", () => {
  test("every place on the page is a row with its code", () => {
    expect(places.length).toBe([...read("PAPERS.md").matchAll(PLACE)].length);
    expect(places.length).toBeGreaterThan(0);
  });

  test.each(places)("$file:$line has $code", ({ file, line, code }) => {
    expect(code).not.toBe("");
    const lines = read(file).split("\n");
    const found = lines.flatMap((text, i) => (text.includes(code) ? [i + 1] : []));
    expect(found, "lines of the file with this code").toContain(Number(line));
  });
});

describe("defaults", () => {
  test.each([
    ...METHODS.map(({ name }) => ({ name, configure: configureMethod })),
    ...TRANSFORMS.map(({ name }) => ({ name, configure: configureTransform })),
  ])("$name has a section, and its options are the program's", ({ name, configure }) => {
    expect(headingOf(name)).not.toBe("");
    const options = configure(name).options as Readonly<Record<string, unknown>>;
    const expected = Object.entries(options).map(([option, value]) => [option, asWritten(value)]);
    expect(defaultsOf(headingOf(name))).toEqual(expected);
  });

  test.each(ATTACKS.map(({ name }) => name).filter((name) => headingOf(name) !== ""))(
    "the attack %s: its options are the program's",
    (name) => {
      const options = configureAttack({ name }).options as Readonly<Record<string, unknown>>;
      const expected = Object.entries(options).map(([option, value]) => [option, asWritten(value)]);
      expect(defaultsOf(headingOf(name))).toEqual(expected);
    },
  );

  test("every attack is told of", () => {
    const page = read("PAPERS.md");
    expect(ATTACKS.map(({ name }) => name).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test("training options", () => {
    const options: Readonly<Record<string, unknown>> = TrainingOptions.parse({});
    const listed = defaultsOf("Common parts");
    expect(listed.length).toBeGreaterThan(0);
    expect(listed).toEqual(listed.map(([option]) => [option, asWritten(options[option])]));
  });
});
