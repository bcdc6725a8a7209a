/** What the documents point at is there: files, headings, and code that they name. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const pages = [
  ...readdirSync(root),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((file) => `docs/${file}`),
]
  .filter((file) => file.endsWith(".md"))
  .sort();

/** Text without blocks of code, whose brackets are no links. */
const proseOf = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "");

/** How GitHub names a heading: lower case, no punctuation, hyphens for spaces. */
const anchorsOf = (text: string): string[] =>
  [...proseOf(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

describe.each(pages)("%s", (page) => {
  const prose = proseOf(read(page));

  test("links lead somewhere", () => {
    const dead = [...prose.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
      .filter(([, path, anchor]) => {
        const target = path ? join(dirname(page), path) : page;
        if (!existsSync(join(root, target))) return true;
        return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
      })
      .map(([link]) => link);
    expect(dead).toEqual([]);
  });

  test("files that it names exist", () => {
    const named = [...prose.matchAll(/`((?:src|test|scripts|examples|bench|docs)\/[\w./-]+\.\w+)`/g)];
    // A guide makes files: their names are followed by what stands in them, or by what becomes of them.
    const made = (file: string) => page.startsWith("docs/adding-") && prose.includes(`\`${file}\`:`);
    const missing = named.map(([, file = ""]) => file).filter((file) => !existsSync(join(root, file)) && !made(file));
    expect(missing).toEqual([]);
  });
});

test("README stays short", () => {
  expect(read("README.md").split("\n").length).toBeLessThanOrEqual(200);
});

test("every dependency is told of, with its version", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
  const rows = read("docs/dependencies.md").split("\n");
  const told = ([name, version]: [string, string]) =>
    rows.some((row) => row.includes(`\`${name}\``) && row.includes(version));
  expect(Object.entries({ ...dependencies, ...devDependencies }).filter((one) => !told(one))).toEqual([]);
});
