import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type RunDescription, RunDirectory } from "./run-directory.ts";

const description: RunDescription = {
  config: { method: "booster", optimiser: { rate: 0.0005 } },
  data: { alignment: "aa" },
  environment: { onnxruntime: "1.30.0" },
};
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-run-"));
  path = join(folder, "deep/er/run");
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (resume: boolean, changed: Partial<RunDescription> = {}) =>
  RunDirectory.open(path, { ...description, ...changed }, { resume, keep: 2 });

test("a new run is created with the folders above it; --resume on nothing starts one as well", () => {
  open(true).close();
  expect(JSON.parse(readFileSync(join(path, "run.json"), "utf8"))).toEqual({ version: 2, ...description });
  expect(readdirSync(path)).toEqual(["metrics.jsonl", "run.json"]);
});

test("an existing run needs resume, and stays as it is", () => {
  open(false).close();
  expect(() => open(false)).toThrow(
    expect.objectContaining({ code: "RUN_EXISTS", message: expect.stringContaining("--resume") }),
  );
  open(true).close();
});

test("two processes cannot hold a run", () => {
  const run = open(false);
  expect(() => open(true)).toThrow(expect.objectContaining({ code: "RUN_LOCKED" }));
  run.close();
  open(true).close();
});

test("other settings or data are refused, place by place", () => {
  open(false).close();
  const changed = { config: { method: "booster", optimiser: { rate: 0.1 } }, data: { alignment: "bb" } };
  expect(() => open(true, changed)).toThrow(
    expect.objectContaining({
      code: "RESUME_MISMATCH",
      message: expect.stringContaining(
        'config.optimiser.rate was 0.0005, is now 0.1; data.alignment was "aa", is now "bb"',
      ),
    }),
  );
  open(true).close();
});

test("settings in another order are the same settings, to the checkpoints too", () => {
  const run = open(false);
  run.checkpoints.save(1, new Map(), {});
  run.close();
  const swapped = open(true, { config: { optimiser: { rate: 0.0005 }, method: "booster" } });
  expect(swapped.checkpoints.newest().checkpoint?.step).toBe(1);
  swapped.close();
});

test("another environment is said, not refused", () => {
  open(false).close();
  const run = open(true, { environment: { onnxruntime: "1.31.0" } });
  expect(run.notices[0]).toMatch('onnxruntime was "1.30.0", is now "1.31.0"');
  run.close();
});

test("a folder with other things in it is left alone", () => {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "thesis.txt"), "");
  expect(() => open(true)).toThrow(
    expect.objectContaining({ code: "RUN_EXISTS", message: expect.stringContaining("thesis.txt") }),
  );
  expect(readdirSync(path)).toEqual(["thesis.txt"]);
});

test("a damaged run.json is named", () => {
  open(false).close();
  writeFileSync(join(path, "run.json"), "{");
  expect(() => open(true)).toThrow(expect.objectContaining({ code: "RUN_CORRUPT" }));
});

test("publishing replaces a folder whole; leftovers of a crash go at the next start", () => {
  const run = open(false);
  const write = (name: string) => (folder: string) => writeFileSync(join(folder, name), "");
  run.publish("adapter", write("a.bin"));
  expect(run.publish("adapter", write("b.bin"))).toBe(join(path, "adapter"));
  const cutShort = (folder: string) => {
    write("c.bin")(folder);
    throw new Error("cut short");
  };
  expect(() => run.publish("adapter", cutShort)).toThrow("cut short");
  expect(readdirSync(path).filter((name) => name.includes(".tmp-"))).toEqual([]);
  expect(readdirSync(join(path, "adapter"))).toEqual(["b.bin"]);
  run.writeFile("report.json", "{}");
  run.close();
  mkdirSync(join(path, "adapter.tmp-12"));
  writeFileSync(join(path, "report.json.tmp-12"), "");
  open(true).close();
  expect(readdirSync(path).filter((name) => name.includes(".tmp-"))).toEqual([]);
  expect(existsSync(join(path, "report.json"))).toBe(true);
});
