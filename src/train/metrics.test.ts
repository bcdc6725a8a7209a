import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { MetricsLog, readMetrics } from "./metrics.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-metrics-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("rows are lines, numbers that JSON lacks are named", () => {
  const path = join(folder, "names.jsonl");
  const log = new MetricsLog(path);
  log.append({ step: 1, loss: 0.5 });
  log.append({ step: 2, loss: Number.NaN, norm: Number.NEGATIVE_INFINITY });
  expect(readFileSync(path, "utf8")).toBe('{"step":1,"loss":0.5}\n{"step":2,"loss":"NaN","norm":"-Infinity"}\n');
  expect(log.bytes).toBe(readFileSync(path).length);
  log.close();
});

test("resuming drops what came after the checkpoint, half a line included", () => {
  const path = join(folder, "resume.jsonl");
  const first = new MetricsLog(path);
  first.append({ step: 1 });
  const { bytes } = first;
  first.append({ step: 2 });
  first.close();
  appendFileSync(path, '{"step":3,"lo');
  const second = new MetricsLog(path);
  second.truncate(bytes);
  second.append({ step: 2, again: true });
  second.sync();
  second.close();
  expect(readMetrics(path)).toEqual([{ step: 1 }, { step: 2, again: true }]);
});

test("a file shorter than the checkpoint says is an error", () => {
  const log = new MetricsLog(join(folder, "short.jsonl"));
  expect(() => log.truncate(10)).toThrow(expect.objectContaining({ code: "METRICS_MISSING" }));
  log.close();
});

test("a reader leaves out the line that is being written, and names a broken one", () => {
  const path = join(folder, "broken.jsonl");
  writeFileSync(path, '{"step":1}\n{"st');
  expect(readMetrics(path)).toEqual([{ step: 1 }]);
  writeFileSync(path, '{"step":1}\nnonsense\n{"step":3}\n');
  expect(() => readMetrics(path)).toThrow(`${path}:2`);
});
