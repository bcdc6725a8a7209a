import { expect, test } from "vitest";
import { choose } from "../choice.ts";
import { taskMetric } from "../data/tasks/table.ts";
import { BoosterError } from "../errors.ts";
import { openModerator } from "../evaluate/index.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { METHODS, TRANSFORMS } from "../methods/registry.ts";
import { OPTIMIZERS } from "../optim/index.ts";
import { AlignOptions, parseOptions } from "../stages/options.ts";
import { exitCodeOf } from "./failure.ts";

test.each<[string, () => unknown]>([
  ["OPTIONS_INVALID", () => parseOptions(AlignOptions, { run: "r" }, "align")],
  ["UNKNOWN_METHOD", () => choose(METHODS, { name: "bosoter" })],
  ["METHOD_OPTIONS_INVALID", () => choose(METHODS, { name: "booster", lamda: 1 })],
  ["UNKNOWN_TRANSFORM", () => choose(TRANSFORMS, { name: "antidot" })],
  ["TRANSFORM_OPTIONS_INVALID", () => choose(TRANSFORMS, { name: "antidote", dense: 1 })],
  ["UNKNOWN_ATTACK", () => choose(ATTACKS, { name: "mixx" })],
  ["ATTACK_OPTIONS_INVALID", () => choose(ATTACKS, { name: "mix", share: 1 })],
  ["UNKNOWN_OPTIMIZER", () => choose(OPTIMIZERS, { name: "adam" })],
  ["OPTIMIZER_OPTIONS_INVALID", () => choose(OPTIMIZERS, { name: "sgd", momentun: 0.9 })],
  ["MODERATOR_UNKNOWN", () => openModerator({ name: "jury" })],
  ["MODERATOR_SETTINGS", () => openModerator({ name: "classifier", flie: "m.json" })],
  ["TASK_METRIC_UNKNOWN", () => taskMetric("poetry")],
])("%s says that the command was called wrongly: exit code 2", async (code, call) => {
  const error = await (async () => call())().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code });
  expect(exitCodeOf(error as BoosterError)).toBe(2);
});

test("other failures are those of the work: exit code 1", () => {
  expect(exitCodeOf(new BoosterError("DATA_NOT_FOUND", "there is no such data file"))).toBe(1);
});
