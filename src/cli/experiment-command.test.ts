import { afterEach, expect, test, vi } from "vitest";
import { followed } from "./experiment-command.ts";
import { Output } from "./output.ts";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Two stages of an experiment, a step every 50 ms, as a terminal or a log shows them. */
function shown(isTTY: boolean, json = false) {
  vi.useFakeTimers({ toFake: ["performance"] });
  let text = "";
  const catching = (stream: NodeJS.WriteStream) =>
    vi.spyOn(stream, "write").mockImplementation((part) => {
      text += part;
      return true;
    });
  catching(process.stderr);
  catching(process.stdout);
  const { isTTY: was, columns } = process.stderr;
  Object.assign(process.stderr, { isTTY, columns: 200 });
  const { onStage, onStep } = followed(new Output(json));
  const stage = (label: string, state: "started" | "done", stagesDone: number, secondsLeft?: number) =>
    onStage?.({ stagesDone, stages: 4, label, state, secondsLeft });
  stage("sft seed 0: align", "started", 0);
  for (let step = 1; step <= 3000; step++) {
    vi.advanceTimersByTime(50);
    const progress = { step, totalSteps: 3000, loss: 1.5, learningRate: 1e-3, tokensPerSecond: 900.4 };
    onStep?.("sft seed 0: align", { ...progress, secondsLeft: (3000 - step) / 20 });
  }
  stage("sft seed 0: align", "done", 1, 450);
  stage("sft seed 0: evaluate", "started", 1, 450);
  vi.advanceTimersByTime(200);
  onStep?.("sft seed 0: evaluate", "harmful prompts: 3 of 60 answered");
  Object.assign(process.stderr, { isTTY: was, columns });
  return text;
}

test("a terminal sees how far a stage is, all the while", () => {
  const frames = shown(true).split("\r").slice(1);
  expect(frames[0]).toBe("0/4  sft seed 0: align ...\x1b[K");
  expect(frames[1]).toBe("0/4  sft seed 0: align  step 2/3000  3 min left  loss 1.500  900 tok/s\x1b[K");
  expect(frames.length).toBeGreaterThan(1400);
  expect(frames.length).toBeLessThan(1600);
  expect(frames.at(-3)).toBe("1/4 (8 min left)  sft seed 0: align done\x1b[K");
  expect(frames.at(-1)).toBe("1/4 (8 min left)  sft seed 0: evaluate  harmful prompts: 3 of 60 answered\x1b[K");
});

test("a log gets a line a minute, and one at the end of each stage", () => {
  expect(shown(false).trimEnd().split("\n")).toEqual([
    "0/4  sft seed 0: align  step 1/3000  3 min left  loss 1.500  900 tok/s",
    "0/4  sft seed 0: align  step 1201/3000  90 s left  loss 1.500  900 tok/s",
    "0/4  sft seed 0: align  step 2401/3000  30 s left  loss 1.500  900 tok/s",
    "1/4 (8 min left)  sft seed 0: align done",
  ]);
});

test("a program gets facts", () => {
  const lines = shown(false, true).trim().split("\n");
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({ type: "step", label: "sft seed 0: align", step: 2, loss: 1.5 });
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ type: "step", text: "harmful prompts: 3 of 60 answered" });
});
