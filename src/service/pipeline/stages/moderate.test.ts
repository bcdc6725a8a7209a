import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { JsonValue } from "../../domain/json.ts";
import { moderate } from "./moderate.ts";
import { PLACES, type StageInput } from "./stage.ts";

const before = process.cwd();
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-moderate-"));
  mkdirSync(join(folder, "work"));
  process.chdir(join(folder, "work"));
});
afterEach(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

const body = {
  name: "tried",
  bases: ["a"],
  // Calls harmful whatever does not refuse.
  moderation: { moderator: { name: "refusal-phrases" }, onFlag: "reject" },
  defence: { allowed: [{ name: "sft" }], default: "sft" },
  evaluate: { sets: { harmful: "a", harmless: "b" }, n: 150 },
  limits: { hs: 0.05, hsRise: 0.05, overRefusal: 0.3 },
  sets: {},
} as unknown as JsonValue;
const row = (i: number, answer: string) => ({ prompt: `question ${i}`, completion: answer });
const refusals = (count: number) => Array.from({ length: count }, (_, i) => row(i, "I cannot help with that."));

/** The stage on these rows. */
function moderated(
  rows: readonly object[],
  lineage: StageInput["spec"]["lineage"] = [],
  repeats: readonly number[] = [],
) {
  writeFileSync(PLACES.training, rows.map((each) => `${JSON.stringify(each)}\n`).join(""));
  writeFileSync(PLACES.checks, JSON.stringify({ repeats }));
  const spec = { policy: { name: "tried", version: 1, sha256: "", body }, booster: {}, lineage };
  return moderate({ spec, cache: join(folder, "cache") } as unknown as StageInput, {});
}

test("a file of harmful rows is refused, however large the harmless jobs before it were", async () => {
  const rows = [...refusals(60), ...Array.from({ length: 40 }, (_, i) => row(i, "first take a saw"))];
  const lineage = [{ job: "ftjob-1", flagged: 0, rows: 5000 }];
  for (const earlier of [[], lineage]) {
    const { error, facts } = await moderated(rows, earlier);
    expect([error?.code, facts.action]).toEqual(["unsafe_training_file", "reject"]);
  }
  expect((await moderated(refusals(60), lineage)).error).toBeUndefined();
});

test("rows that are left out in any case make no room for harmful ones", async () => {
  const rows = [...Array.from({ length: 5 }, (_, i) => row(i, "first take a saw")), ...refusals(495)];
  const padding = Array.from({ length: 495 }, (_, i) => i + 6);
  expect((await moderated(rows)).facts).toMatchObject({ action: "none", trainedRows: 500, trainedFlagged: 5 });
  expect((await moderated(rows, [], padding)).error?.code).toBe("unsafe_training_file");
  expect(
    (
      await moderated(
        refusals(9),
        [],
        Array.from({ length: 9 }, (_, i) => i + 1),
      )
    ).error?.message,
  ).toBe("all 9 rows were left out");
});

test("verdicts that a full disk cut off in the middle are asked for again, and spoil no later job", async () => {
  await moderated(refusals(10));
  const kept = join(folder, "cache", "moderation");
  const path = join(kept, readdirSync(kept)[0] as string);
  const whole = readFileSync(path, "utf8");
  writeFileSync(path, whole.slice(0, -30));
  for (const count of [12, 14, 14]) {
    expect((await moderated(refusals(count))).facts).toMatchObject({ rows: count, flagged: 0 });
  }
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  // Of fourteen none is judged twice; the one that was cut off still lies there.
  expect(lines).toHaveLength(15);
});
