/** The whole training step on the WebGPU provider, by a software driver: the same numbers, and nothing on the CPU. */
import { beforeAll, describe, expect, test } from "vitest";
import { reportOf, withDriver } from "./driver.ts";
import type { StepReport } from "./step.ts";

const env = withDriver();

/** Sizes and positions, which ONNX Runtime computes on the host whatever the provider. */
const SHAPE_ARITHMETIC = ["Cast", "Concat", "Mul", "Range", "Shape", "Size", "Squeeze", "Unsqueeze"];
/** Positions are the longest of them: 8 bytes a token. */
const SHAPE_BYTES = 8 * 32;

describe.skipIf(env === undefined)("WebGPU", () => {
  let report: StepReport;

  beforeAll(() => {
    report = reportOf("test/webgpu/step.ts", env);
  });

  test("every operation and its gradient agree with the CPU", () => {
    expect(report.cases).toBeGreaterThan(50);
    expect(report.deviations).toEqual([]);
  });

  test("three steps of Booster with clipping and AdamW agree with the CPU", () => {
    expect(report.moved).toBeGreaterThan(1e-3);
    expect(report.weights).toBeLessThan(1e-5);
    expect(report.metrics).toBeLessThan(1e-4);
  });

  test("a step of Booster agrees with the CPU for each shape of attention", () => {
    expect(report.attentions.length).toBeGreaterThan(5);
    for (const { name, weights, metrics, moved } of report.attentions) {
      expect(moved, name).toBeGreaterThan(3e-4);
      expect(weights, name).toBeLessThan(1e-5);
      expect(metrics, name).toBeLessThan(1e-4);
    }
  });

  test("nothing but the arithmetic of shapes is computed on the CPU", () => {
    const onHost = report.kernels.filter(({ provider }) => provider === "CPUExecutionProvider");
    expect(onHost.map(({ op }) => op).filter((op) => !SHAPE_ARITHMETIC.includes(op))).toEqual([]);
    expect(onHost.filter(({ calls, outputBytes }) => outputBytes > calls * SHAPE_BYTES)).toEqual([]);
    expect(
      report.kernels.find(({ op, provider }) => op === "Gemm" && provider === "WebGpuExecutionProvider"),
    ).toBeDefined();
  });

  test("no step waits for the GPU: nothing comes back inside, and only shapes go there", () => {
    expect(report.kernels.filter(({ op }) => op === "MemcpyToHost")).toEqual([]);
    const uploads = report.kernels.filter(({ op }) => op === "MemcpyFromHost");
    expect(uploads.filter(({ calls, outputBytes }) => outputBytes > calls * SHAPE_BYTES)).toEqual([]);
  });
});
