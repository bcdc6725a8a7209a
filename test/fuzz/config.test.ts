import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodeStrictJson } from "../../src/formats/strict-json.ts";
import { createModel } from "../../src/models/index.ts";
import { FAMILIES, VARIANTS } from "../conformance/tiny-families.ts";
import { sharedPath } from "../shared.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set([
  "MODEL_CONFIG_INVALID",
  "UNKNOWN_ARCHITECTURE",
  "JSON_INVALID",
  "JSON_DUPLICATE_KEY",
  "JSON_TOO_DEEP",
  "JSON_TOO_LARGE",
]);

const fixtures = sharedPath("fixtures");
const published = (fixtures === undefined ? [] : readdirSync(fixtures))
  .flatMap((name) =>
    ["config.json", "config.transformers5.json"].map((file) => join(fixtures ?? "", name, "model", file)),
  )
  .filter((path) => existsSync(path))
  .map((path) => readFileSync(path));
const seeds = [...published, ...[...FAMILIES, ...VARIANTS].map(({ config }) => Buffer.from(JSON.stringify(config)))];

const make = (draws: Draws) => mutateBytes(draws.pick(seeds), draws, seeds);

test("mutated configurations make a model or end in a known error, quickly and in bounded memory", () => {
  const report = fuzz("config", make, (bytes) => void createModel(decodeStrictJson(bytes, "config.json")), codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.outcomes.get("valid")).toBeGreaterThan(0);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
