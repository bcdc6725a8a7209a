import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import { CheckpointStore } from "./checkpoint.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-checkpoint-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const store = (fingerprint = "f") => new CheckpointStore(folder, { keep: 2, fingerprint, environment: {} });
const state = (value: number) => new Map([["w", tensor("float32", [2], [value, Number.NaN])]]);

test("what is saved comes back bit for bit, with every element type", () => {
  const tensors = new Map<string, HostTensor>([
    ["a", tensor("float32", [2], [0.1, -0])],
    ["b", tensor("float64", [1], [Math.PI])],
    ["c", tensor("int64", [1], BigInt64Array.of(2n ** 60n))],
    ["d", tensor("int32", [0], [])],
    ["e", tensor("bool", [2], [1, 0])],
  ]);
  store().save(5, tensors, { tokens: 12 });
  const { checkpoint, problems } = store().newest();
  expect(checkpoint).toMatchObject({ step: 5, counters: { tokens: 12 } });
  expect(new Map([...(checkpoint?.tensors ?? [])].sort())).toEqual(tensors);
  expect(problems).toEqual([]);
});

test("no checkpoint is no error, nor is a folder that is not there", () => {
  expect(store().newest()).toEqual({ checkpoint: undefined, problems: [] });
  const absent = new CheckpointStore(join(folder, "absent"), { keep: 1, fingerprint: "f", environment: {} });
  expect(absent.newest().checkpoint).toBeUndefined();
});

test("the newest are kept, `latest` names the last", () => {
  for (const step of [1, 2, 3, 1_000_000]) store().save(step, state(step), {});
  expect(readdirSync(folder)).toEqual(["latest", "step-000003", "step-1000000"]);
  expect(readFileSync(join(folder, "latest"), "utf8")).toBe("step-1000000\n");
  expect(store().newest().checkpoint?.step).toBe(1_000_000);
});

test("a damaged checkpoint is passed over, then replaced by the resumed run", () => {
  for (const step of [1, 2]) store().save(step, state(step), {});
  writeFileSync(join(folder, "step-000002/state.safetensors"), "damaged");
  expect(store().newest()).toMatchObject({ checkpoint: { step: 1 }, problems: [expect.stringContaining("SHA-256")] });
  store().save(2, state(2), {});
  expect(store().newest()).toMatchObject({ checkpoint: { step: 2 }, problems: [] });
});

test("another run's checkpoint is refused", () => {
  store("mine").save(1, state(1), {});
  expect(() => store("other").newest()).toThrow(expect.objectContaining({ code: "RESUME_MISMATCH" }));
});

test("symbolic links are neither read as checkpoints nor followed when deleting", () => {
  const treasure = join(folder, "treasure");
  mkdirSync(treasure);
  writeFileSync(join(treasure, "gold"), "");
  symlinkSync(treasure, join(folder, "step-000009"));
  mkdirSync(join(folder, "step-000001.tmp-7"));
  symlinkSync(treasure, join(folder, "step-000001.tmp-7/link"));
  for (const step of [1, 2, 3]) store().save(step, state(step), {});
  expect(store().newest().checkpoint?.step).toBe(3);
  expect(existsSync(join(folder, "step-000001.tmp-7"))).toBe(false);
  expect(existsSync(join(treasure, "gold"))).toBe(true);
});

test("a disk without room for two is refused beforehand", () => {
  store().checkSpace(1000);
  expect(() => store().checkSpace(2 ** 60)).toThrow(expect.objectContaining({ code: "DISK_FULL" }));
});
