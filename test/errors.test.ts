import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { errorPage } from "../scripts/error-page.ts";
import { ERROR_CODES } from "../src/error-codes.ts";

const root = resolve(import.meta.dirname, "..");

test("docs/errors.md is made of the table of error codes: npm run errors", () => {
  expect(readFileSync(join(root, "docs/errors.md"), "utf8")).toBe(errorPage());
});

test("no code of the table is left over", () => {
  const source = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && file !== "error-codes.ts")
    .map((file) => readFileSync(join(root, "src", file), "utf8"))
    .join("");
  expect(Object.keys(ERROR_CODES).filter((code) => !source.includes(`"${code}"`))).toEqual([]);
});
