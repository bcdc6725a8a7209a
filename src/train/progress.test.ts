import { expect, test } from "vitest";
import { Pace } from "./pace.ts";
import { describeProgress, ProgressReporter } from "./progress.ts";

const progress = {
  step: 120,
  totalSteps: 10_000,
  loss: 1.83421,
  learningRate: 5e-4,
  tokensPerSecond: 2900,
  secondsLeft: 7980,
};

function collect(isTTY: boolean, columns = 80) {
  let text = "";
  return { isTTY, columns, write: (part: string) => (text += part), read: () => text };
}

test("one line says where the run is", () => {
  expect(describeProgress(progress)).toBe("step 120/10000  1.2 %  loss 1.8342  lr 5.0e-4  2.9k tok/s  2 h 13 min left");
  expect(describeProgress({ ...progress, secondsLeft: 61, tokensPerSecond: 7 })).toMatch("7 tok/s  1 min 1 s left");
});

test("a terminal gets one line that is rewritten, cut to its width, with notes above it", () => {
  const target = collect(true, 20);
  const reporter = new ProgressReporter(target);
  reporter.update(progress);
  reporter.note("resumed");
  reporter.update({ ...progress, step: 10_000 });
  reporter.finish();
  expect(target.read()).toBe("\rstep 120/10000  1.2\x1b[K\r\x1b[Kresumed\n\rstep 10000/10000  1\x1b[K\n");
});

test("a log gets plain lines, not one a step, and always the last", () => {
  const target = collect(false);
  const reporter = new ProgressReporter(target);
  for (let step = 1; step <= 100; step++) reporter.update({ ...progress, step, totalSteps: 100 });
  reporter.finish();
  expect(target.read().split("\n")).toHaveLength(3);
  expect(target.read()).toMatch(/^step 1\/100 [^\n]*\nstep 100\/100 .*done\n$/);
});

test("a program gets every step as JSON", () => {
  const target = collect(true);
  const reporter = new ProgressReporter(target, "json");
  reporter.update(progress);
  reporter.note("resumed");
  const lines = target.read().trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { type: "progress", ...progress },
    { type: "notice", text: "resumed" },
  ]);
});

test("pace counts from the first step of this process", () => {
  const pace = new Pace(100);
  const until = performance.now() + 20;
  while (performance.now() < until);
  const measured = pace.after({ applied: true, tokens: 50, metrics: { loss: 2 } }, 60, 0.1);
  expect(measured).toMatchObject({ step: 60, totalSteps: 100, loss: 2, learningRate: 0.1 });
  expect(measured.secondsLeft).toBeGreaterThan(0.79);
  expect(measured.tokensPerSecond).toBeLessThan(2501);
});
