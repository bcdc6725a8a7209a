/** Generation on the WebGPU provider, by a software driver: the same tokens, from a cache that stays on the device. */
import { beforeAll, describe, expect, test } from "vitest";
import { reportOf, withDriver } from "./driver.ts";
import type { GenerateReport } from "./generate.ts";

const env = withDriver();

describe.skipIf(env === undefined)("WebGPU", () => {
  let report: GenerateReport;

  beforeAll(() => {
    report = reportOf("test/webgpu/generate.ts", env);
  });

  test("answers are those of the CPU, through windows and, nightly, behind a common beginning", () => {
    const { cpu, gpu } = report;
    expect(gpu).toEqual(cpu);
    expect(new Set(cpu.map(({ length }) => length)).size).toBeGreaterThan(1);
  });

  test("the copy of the cache on the device holds the cache's numbers, whatever its rows do", () => {
    const { wrong, compared, elsewhere } = report;
    expect(compared).toBeGreaterThan(1000);
    expect({ wrong, elsewhere }).toEqual({ wrong: 0, elsewhere: 0 });
  });

  test("keys and values are brought to the device when rows come, leave or outgrow their room, and not at each token", () => {
    const { uploads } = report;
    // Two layers, keys and values, once for two rows and their twelve tokens.
    expect(uploads.growing).toBe(4);
    // A third row; room for what it becomes; one that leaves.
    expect(uploads.all).toBe(4 * 4);
  });
});
