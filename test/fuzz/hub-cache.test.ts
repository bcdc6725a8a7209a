import { expect, test } from "vitest";
import { dataFiles } from "../../src/formats/hub/data-files.ts";
import { cachedListing, listedFiles } from "../../src/formats/hub/listing.ts";
import { modelFiles } from "../../src/formats/hub/model-files.ts";
import { isRelativePath, parseHubReference } from "../../src/formats/hub/reference.ts";
import { decodeStrictJson } from "../../src/formats/strict-json.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const OID = "0123456789abcdef0123456789abcdef01234567";
const SHA = OID + OID.slice(0, 24);
const listing = {
  format_version: 1,
  files: {
    "config.json": { size: 12, blob_id: OID },
    "model.safetensors": { size: 99, blob_id: OID, lfs_sha256: SHA, lfs_size: 99, xet_hash: SHA },
    "data/train-00000-of-00001.parquet": { size: 3, blob_id: OID },
  },
};
const page = [
  { type: "directory", oid: OID, size: 0, path: "data" },
  { type: "file", oid: OID, size: 5, path: "data/a.jsonl", lfs: { oid: SHA, size: 5, pointerSize: 130 } },
];
const card =
  "---\nconfigs:\n- config_name: a\n  default: true\n  data_files:\n  - split: train\n    path: data/*.jsonl\n---\n";
const index = JSON.stringify({ weight_map: { a: "model-00001-of-00002.safetensors" } });
const lists = [JSON.stringify(listing), JSON.stringify(page), index];
/** Cards less often: YAML takes its time. */
const texts = [
  ...lists,
  ...lists,
  ...lists,
  ...lists,
  ...lists,
  ...lists,
  card,
  "hf-data:org/name@v1:data/train-*.parquet",
];
const seeds = texts.map((text) => Buffer.from(text));

const PIECES = [
  "../",
  "/",
  "\\\\",
  "..",
  "__proto__",
  "constructor",
  "**",
  "*",
  "&a",
  "*a",
  "- ",
  ": ",
  "null",
  "1e99",
  "-1",
  '""',
  "[]",
  "{}",
  "\\u0000",
  "a".repeat(300),
];

/** Half damaged blindly, half with a piece that means something put in somewhere. */
function make(draws: Draws): Uint8Array {
  const seed = draws.pick(seeds);
  if (draws.below(2) === 0) return mutateBytes(seed, draws, seeds);
  let text = seed.toString();
  for (let changes = 1 + draws.below(3); changes > 0; changes--) {
    const at = draws.below(text.length + 1);
    text = text.slice(0, at) + draws.pick(PIECES) + text.slice(at + draws.below(8));
  }
  return Buffer.from(text);
}

/** Whatever it is, all readers of the cache are shown it; what they accept leads nowhere else. */
function parse(bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes);
  const paths = ["README.md", "config.json", "data/a.jsonl", "data/b.jsonl", "model.safetensors.index.json"];
  if (text.startsWith("hf")) parseHubReference(text);
  else if (text.startsWith("---")) check(dataFiles(paths, undefined, () => text, "hf-data:org/name"));
  else if (text.includes("weight_map")) check(modelFiles(paths, undefined, () => text, "hf:org/name"));
  else {
    const document = decodeStrictJson(bytes, "fuzz");
    if (Array.isArray(document)) check(listedFiles(document, "fuzz").map(({ path }) => path));
    else check([...(cachedListing(document, "fuzz") ?? new Map<string, never>()).keys()]);
  }
}

function check(paths: readonly string[]): void {
  const outside = paths.find((path) => !isRelativePath(path));
  if (outside !== undefined) throw new Error(`leads outside: ${outside}`);
}

const codes = new Set([
  "HUB_ANSWER_INVALID",
  "HUB_CACHE_INVALID",
  "HUB_FILE_UNCLEAR",
  "HUB_REFERENCE_INVALID",
  "INVALID_UTF8",
  "JSON_DUPLICATE_KEY",
  "JSON_INVALID",
  "JSON_TOO_DEEP",
  "JSON_TOO_LARGE",
]);

test("damaged files of the cache and of repositories end in a known error or a path inside, quickly and in bounded memory", () => {
  const report = fuzz("hub-cache", make, parse, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
