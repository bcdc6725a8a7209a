import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { BoosterError } from "../../src/errors.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { CheckpointStore } from "../../src/train/checkpoint.ts";
import type { FileSystem } from "../../src/train/files.ts";
import { failingFiles } from "./faulty-files.ts";

const root = mkdtempSync(join(tmpdir(), "booster-faults-"));
const random = new RandomStream(3, "faults");
let folder: string;
let runs = 0;

beforeEach(() => {
  folder = join(root, `store-${runs++}`);
});
afterAll(() => rmSync(root, { recursive: true }));

const storeWith = (fs?: FileSystem, path = folder) =>
  new CheckpointStore(path, { keep: 2, fingerprint: "f", environment: { node: "20" }, ...(fs && { fs }) });
const stateOf = (step: number) => new Map([["w", tensor("float32", [3], [step, step + 0.5, -step])]]);
const save = (step: number, fs?: FileSystem) => storeWith(fs).save(step, stateOf(step), { metricsBytes: step });

function thrownBy(body: () => void): BoosterError | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof BoosterError) return error;
    throw error;
  }
}

const CODES = { EIO: "DISK_IO_ERROR", ENOSPC: "DISK_FULL", EMFILE: "TOO_MANY_OPEN_FILES" } as const;

describe("the n-th file operation of a save fails", () => {
  test.each(["EIO", "ENOSPC", "EMFILE"] as const)("%s: an older or the new checkpoint loads, whole", (code) => {
    for (const step of [1, 2]) save(step);
    const pristine = join(root, `pristine-${code}`);
    cpSync(folder, pristine, { recursive: true });
    for (let call = 1; ; call++) {
      rmSync(folder, { recursive: true });
      cpSync(pristine, folder, { recursive: true });
      const { fs, done } = failingFiles(call, code);
      const error = thrownBy(() => save(3, fs));
      if (!done()) {
        expect(error).toBeUndefined();
        expect(call).toBeGreaterThan(25);
        break;
      }
      expect(error, `call ${call}`).toMatchObject({ code: CODES[code] });
      expect(error?.message).toContain(folder);
      expect(error?.message).toMatch(/MiB free/);
      const { checkpoint, problems } = storeWith().newest();
      expect([2, 3], `call ${call}`).toContain(checkpoint?.step);
      expect(checkpoint?.tensors).toEqual(stateOf(checkpoint?.step ?? -1));
      expect(problems).toEqual([]);
      save(4);
      expect(readdirSync(folder).filter((name) => name.includes(".tmp-"))).toEqual([]);
    }
  });

  test("short writes are continued", () => {
    for (let call = 1; ; call++) {
      const { fs, done } = failingFiles(call, "SHORT_WRITE");
      save(call, fs);
      if (!done()) break;
      expect(storeWith().newest().checkpoint?.tensors).toEqual(stateOf(call));
    }
  });
});

test("the n-th file operation of a load fails: no older state is taken for the newest without a word", () => {
  for (const step of [1, 2]) save(step);
  for (const code of ["EIO", "EMFILE"] as const) {
    for (let call = 1; ; call++) {
      const { fs, done } = failingFiles(call, code);
      let step: number | undefined;
      let problems: readonly string[] = [];
      const error = thrownBy(() => {
        const found = storeWith(fs).newest();
        step = found.checkpoint?.step;
        problems = found.problems;
      });
      if (!done()) break;
      if (error === undefined) expect(problems, `call ${call}`).toHaveLength(step === 2 ? 0 : 1);
      else expect(error.code).toBe(CODES[code]);
    }
  }
});

function flipBit(path: string, position: number, bit: number): void {
  const bytes = readFileSync(path);
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(bytes[position]! ^ (1 << bit)), 0, 1, position);
  closeSync(file);
}

test("each of 1000 flipped bits is noticed, and the previous checkpoint used", () => {
  for (const step of [1, 2]) save(step);
  const files = ["state.safetensors", "manifest.json"].map((name) => join(folder, "step-000002", name));
  const sizes = files.map((file) => readFileSync(file).length);
  for (let i = 0; i < 1000; i++) {
    const at = random.integer(2 * i, sizes[0]! + sizes[1]!);
    const [file, position] = at < sizes[0]! ? [files[0]!, at] : [files[1]!, at - sizes[0]!];
    const bit = random.integer(2 * i + 1, 8);
    flipBit(file, position, bit);
    const { checkpoint, problems } = storeWith().newest();
    expect(checkpoint?.step, `bit ${bit} of byte ${position} in ${file}`).toBe(1);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("step-000002");
    flipBit(file, position, bit);
  }
  expect(storeWith().newest().checkpoint?.step).toBe(2);
});

test("a truncated and a missing file are noticed too", () => {
  for (const step of [1, 2]) save(step);
  const state = join(folder, "step-000002/state.safetensors");
  writeFileSync(state, readFileSync(state).subarray(0, 20));
  expect(storeWith().newest()).toMatchObject({ checkpoint: { step: 1 } });
  rmSync(state);
  expect(storeWith().newest().problems[0]).toContain("is missing");
});

test("no whole checkpoint is an error, not a silent new start", () => {
  save(1);
  flipBit(join(folder, "step-000001/state.safetensors"), 100, 0);
  expect(thrownBy(() => storeWith().newest())).toMatchObject({ code: "CHECKPOINT_CORRUPT" });
});
