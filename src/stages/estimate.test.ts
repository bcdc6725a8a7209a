import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { align } from "./align.ts";
import { estimate } from "./estimate.ts";
import { packagePath } from "./package-root.ts";
import { writeWorldData } from "./world-files.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-estimate-"));
writeWorldData(folder, [3]);
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

const options = {
  run: join(folder, "run"),
  model: packagePath("assets", "world"),
  method: { name: "booster" } as const,
  alignment: join(folder, "alignment-3.jsonl"),
  harmful: join(folder, "harmful-3.jsonl"),
  steps: 2,
};
/** As in a container of that size in which nothing has been taken yet. */
function withMemory(bytes: number): void {
  vi.spyOn(process, "constrainedMemory").mockReturnValue(bytes);
  vi.spyOn(process, "memoryUsage").mockReturnValue({ rss: 0 } as never);
}

test("an estimate trains and writes nothing, and grows with what is asked for", async () => {
  const small = await estimate("align", options);
  expect(small.steps).toBe(2);
  expect(small.seconds).toBeGreaterThan(0);
  expect(small.bytes).toBe(Object.values(small.memory).reduce((a, b) => a + b));
  expect(small).not.toHaveProperty("change");
  const large = await estimate("align", { ...options, batchSize: 40 });
  expect(large.memory.results / small.memory.results).toBeGreaterThan(3);
  expect(large.memory.weights).toBe(small.memory.weights);
  expect(existsSync(options.run)).toBe(false);
});

test("where a run does not fit, what saves memory is tried", async () => {
  const whole = await estimate("align", { ...options, batchSize: 40 });
  withMemory(whole.bytes - 1);
  const { change } = await estimate("align", { ...options, batchSize: 40 });
  expect(change?.options).toMatchObject({ memory: "low" });
  expect(change?.estimate.bytes).toBeLessThan(whole.bytes);
  withMemory(1);
  expect(await estimate("align", options)).not.toHaveProperty("change");
});

test("a run that does not fit is refused before its folder is made, unless one insists", async () => {
  withMemory(1e5);
  await expect(align(options)).rejects.toMatchObject({ code: "MEMORY_TOO_SMALL" });
  expect(existsSync(options.run)).toBe(false);
  expect((await align({ ...options, force: true })).outcome).toBe("finished");
});
