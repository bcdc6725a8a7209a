/** `npm run bench -- gpu`, which is for machines that the tests never see, still runs. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { compileProgram } from "../crash/compile.ts";
import { withDriver } from "./driver.ts";

const { path } = compileProgram("bench/main.ts");

const driver = withDriver();
const bench = (env: NodeJS.ProcessEnv | undefined) =>
  spawnSync(process.execPath, [path, "gpu", "--quick", "--json"], { env, encoding: "utf8" });

test("says in a line why it measures nothing where there is no device", () => {
  const nowhere = { ...process.env, VK_ICD_FILENAMES: "/nowhere.json", VK_DRIVER_FILES: "/nowhere.json" };
  const { stdout, stderr } = bench(nowhere);
  expect(stderr).toMatch(/^skipped gpu: no WebGPU device; .*adapter/m);
  expect(JSON.parse(stdout).results).toEqual({});
});

test.runIf(process.env.BOOSTER_NIGHTLY !== undefined && driver !== undefined)(
  "trains and generates by a software driver",
  () => {
    const { stdout, stderr } = bench(driver);
    const { gpu } = JSON.parse(stdout).results;
    expect(gpu.targets.length, stderr).toBe(3);
    for (const { what, value, wanted } of gpu.targets) expect(value, what).toBeLessThan(wanted);
    expect(gpu.data.check.moved).toBeGreaterThan(1e-4);
    const steps = gpu.data.steps.map(({ method, base }: { method: string; base: string }) => `${method} ${base}`);
    expect(steps).toContain("booster float32");
    expect(gpu.data.generation.map(({ batch }: { batch: number }) => batch)).toEqual([1, 16]);
    // The driver has no float16; nothing else may fail.
    expect(gpu.notes.filter((note: string) => note.startsWith("Failed") && !note.includes("f16"))).toEqual([]);
  },
);
