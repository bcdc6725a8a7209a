import { afterEach, expect, test, vi } from "vitest";
import { Pace } from "./pace.ts";
import { describeProgress, ProgressReporter, type ProgressStyle } from "./progress.ts";

const progress = {
  type: "step" as const,
  step: 120,
  totalSteps: 10_000,
  loss: 1.83421,
  learningRate: 5e-4,
  tokensPerSecond: 2900,
  secondsLeft: 7980,
};

afterEach(() => vi.useRealTimers());

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
  reporter.show(progress);
  reporter.note("resumed");
  reporter.show({ ...progress, step: 10_000 });
  reporter.finish();
  expect(target.read()).toBe("\rstep 120/10000  1.2\x1b[K\r\x1b[Kresumed\n\rstep 10000/10000  1\x1b[K\n");
});

test("a log gets plain lines, not one a step, and always the last", () => {
  const target = collect(false);
  const reporter = new ProgressReporter(target);
  for (let step = 1; step <= 100; step++) reporter.show({ ...progress, step, totalSteps: 100 });
  reporter.finish();
  expect(target.read().split("\n")).toHaveLength(3);
  expect(target.read()).toMatch(/^step 1\/100 [^\n]*\nstep 100\/100 .*done\n$/);
});

test("a program gets every step as JSON", () => {
  const target = collect(true);
  const reporter = new ProgressReporter(target, "json");
  reporter.show(progress);
  reporter.note("resumed");
  const lines = target.read().trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([progress, { type: "notice", text: "resumed" }]);
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

test("another kind of work is told at once", () => {
  const target = collect(false);
  const reporter = new ProgressReporter(target);
  for (const text of ["loading", "compiling", "3 rows read", "4 rows read"]) reporter.show({ type: "work", text });
  reporter.show(progress);
  expect(target.read()).toMatch(/^loading\ncompiling\n3 rows read\nstep 120[^\n]*\n$/);
});

/** Two pieces of an experiment, a step every 50 ms, as a terminal or a log shows them. */
function shown(style: ProgressStyle) {
  vi.useFakeTimers({ toFake: ["performance"] });
  const target = collect(true, 200);
  const reporter = new ProgressReporter(target, style);
  const stage = (piece: string, state: "started" | "done", done: number, secondsLeft?: number) =>
    reporter.show({
      type: "piece",
      piece,
      state,
      done,
      pieces: 4,
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
    });
  stage("sft seed 0: align", "started", 0);
  for (let step = 1; step <= 3000; step++) {
    vi.advanceTimersByTime(50);
    const progress = { step, totalSteps: 3000, loss: 1.5, learningRate: 1e-3, tokensPerSecond: 900.4 };
    reporter.show({ type: "step", piece: "sft seed 0: align", ...progress, secondsLeft: (3000 - step) / 20 });
  }
  stage("sft seed 0: align", "done", 1, 450);
  stage("sft seed 0: evaluate", "started", 1, 450);
  vi.advanceTimersByTime(200);
  reporter.show({ type: "work", piece: "sft seed 0: evaluate", text: "harmful prompts: 3 of 60 answered" });
  return target.read();
}

test("a terminal sees how far a piece is, all the while", () => {
  const frames = shown("live").split("\r").slice(1);
  expect(frames[0]).toBe("0/4  sft seed 0: align ...\x1b[K");
  expect(frames[1]).toBe("0/4  sft seed 0: align  step 2/3000  3 min left  loss 1.500  900 tok/s\x1b[K");
  expect(frames.length).toBeGreaterThan(1400);
  expect(frames.length).toBeLessThan(1600);
  expect(frames.at(-3)).toBe("1/4 (8 min left)  sft seed 0: align done\x1b[K");
  expect(frames.at(-1)).toBe("1/4 (8 min left)  sft seed 0: evaluate  harmful prompts: 3 of 60 answered\x1b[K");
});

test("a log gets a line a minute, and one at the end of each piece", () => {
  expect(shown("lines").trimEnd().split("\n")).toEqual([
    "0/4  sft seed 0: align  step 1/3000  3 min left  loss 1.500  900 tok/s",
    "0/4  sft seed 0: align  step 1201/3000  90 s left  loss 1.500  900 tok/s",
    "0/4  sft seed 0: align  step 2401/3000  30 s left  loss 1.500  900 tok/s",
    "1/4 (8 min left)  sft seed 0: align done",
  ]);
});

test("a program gets facts", () => {
  const lines = shown("json").trim().split("\n");
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({ type: "step", piece: "sft seed 0: align", step: 2, loss: 1.5 });
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ type: "work", text: "harmful prompts: 3 of 60 answered" });
});
