import { expect, test } from "vitest";
import { describeRun, determining, keyOf } from "./describe-run.ts";
import { FinetuneOptions, parseOptions } from "./options.ts";

const options = (changes: Partial<Record<keyof FinetuneOptions, unknown>> = {}) =>
  FinetuneOptions.parse({ run: "r", model: "m", task: "task.jsonl", ...changes });
const key = (changes?: Parameters<typeof options>[0]) => keyOf(determining(FinetuneOptions, options(changes)));

test("what is chosen by name is described with its defaults", () => {
  const description = describeRun(
    "finetune",
    FinetuneOptions,
    options({
      method: "lisa",
      optimizer: "sgd",
      attack: { name: "mixing" },
      curve: { every: 1, moderator: "world" },
      moderation: { name: "judge", baseUrl: "http://host/v1", model: "m" },
    }),
    {},
  );
  expect(description.config).toMatchObject({
    stage: "finetune",
    method: { name: "lisa", rho: expect.any(Number) },
    optimizer: { name: "sgd", momentum: 0 },
    attack: { name: "mixing" },
    moderation: { name: "judge", concurrency: 4 },
    curve: { moderator: { name: "world" } },
  });
});

test("neither the order of settings nor a default that is written out makes another run", () => {
  const method = (settings: object) => key({ method: { name: "lisa", ...settings } });
  expect(method({ rho: 2, userSteps: 7 })).toBe(method({ userSteps: 7, rho: 2 }));
  expect(keyOf({ a: 1, b: [{ c: 2, d: 3 }] })).toBe(keyOf({ b: [{ d: 3, c: 2 }], a: 1 }));
  expect(method({ rho: 2 })).not.toBe(method({ rho: 3 }));
  expect(key({ optimizer: { name: "adamw" }, attack: "mix" })).toBe(key());
  expect(key({ optimizer: { name: "sgd", momentum: 0 } })).toBe(key({ optimizer: "sgd" }));
  expect(key({ method: "sft", run: "elsewhere", threads: 3 })).toBe(key());
});

test("a name that is not there and settings that do not fit are told with what was meant", () => {
  const wrong = { moderation: "jury", optimizer: { name: "sgd", momentun: 0.9 }, method: "bosoter" };
  const task = { run: "r", model: "m", task: "task.jsonl" };
  expect(() => parseOptions(FinetuneOptions, { ...task, ...wrong }, "finetune")).toThrow(
    /there is no method "bosoter". Did you mean booster\?.*no guard "jury".*sgd has no setting momentun. Did you mean momentum\?/,
  );
  expect(() => parseOptions(FinetuneOptions, { ...task, moderation: "classifier" }, "finetune")).toThrow(
    /moderation\.file/,
  );
});
