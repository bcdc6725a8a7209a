/** A fine-tuning on a user's rows as they are, as a service does it: what it learns is measured, and it goes on wherever its checkpoints are carried. */
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAdapter } from "../../src/formats/peft.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { type Event, readMetrics } from "../../src/train/index.ts";
import { bytesOf, makeTinyWorld, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

const ROWS = 30;
const BATCH = 8;

const options = (run: string, more: object = {}) => ({
  run: join(world.folder, "runs", run),
  model: world.model,
  template: "chat" as const,
  task: { path: world.data("reviews-0"), limit: ROWS },
  allRows: true,
  tooLong: "reject" as const,
  batchSize: BATCH,
  epochs: 2,
  learningRate: 1e-3,
  loraRank: 4,
  loraAlpha: 4,
  threads: 1,
  validation: { every: 3, data: { path: world.data("test-reviews"), limit: 20 }, rows: 10 },
  ...more,
});

test("all rows are trained on, once an epoch", async () => {
  const { step } = await finetune(options("plain"));
  expect(step).toBe(2 * Math.ceil(ROWS / BATCH));
  const { mix } = JSON.parse(readFileSync(join(world.folder, "runs/plain/data.json"), "utf8"));
  expect(mix).toMatchObject({ rows: ROWS, harmfulRows: 0, usable: ROWS });
  await expect(finetune(options("conflict", { harmful: world.data("attack-0") }))).rejects.toMatchObject({
    code: "OPTIONS_CONFLICT",
  });
});

test("loss and accuracy are those of rows that are held out; all of them at an epoch's end", async () => {
  const rows = readMetrics(join(world.folder, "runs/plain/metrics.jsonl")).filter(({ kind }) => kind === "evaluation");
  expect(rows.map(({ step }) => step)).toEqual([0, 3, 4, 6, 8]);
  for (const row of rows) {
    expect(row.trainAccuracy).toBeGreaterThanOrEqual(0);
    expect(row.validAccuracy).toBeLessThanOrEqual(1);
    expect("fullValidLoss" in row).toBe(row.step === 4 || row.step === 8);
  }
  expect(rows.at(-1)?.validLoss as number).toBeLessThan(rows[0]?.validLoss as number);
});

test("each checkpoint is laid beside the run, changes nothing, and is a run to go on with", async () => {
  const to = join(world.folder, "laid");
  const events: Event[] = [];
  await finetune(options("laid", { checkpointsTo: to, checkpointSeconds: 1e-9 }), {
    emit: (event) => events.push(event),
  });
  const plain = bytesOf(join(world.folder, "runs/plain"));
  expect(bytesOf(join(world.folder, "runs/laid"))).toEqual(plain);
  const laid = events.flatMap((event) => (event.type === "checkpoint" ? [event] : []));
  expect(laid.map(({ step, epochEnd }) => [step, epochEnd])).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8].map((step) => [step, step === 4 || step === 8]),
  );
  expect(readdirSync(to).some((name) => name.includes("tmp"))).toBe(false);
  for (const { folder, step, epochEnd } of laid) {
    expect(existsSync(join(folder, "adapter"))).toBe(epochEnd);
    if (epochEnd) expect(readAdapter(join(folder, "adapter")).tensors.size).toBeGreaterThan(0);
    if (step !== 3 && step !== 4) continue;
    const elsewhere = `carried-${step}`;
    cpSync(folder, join(world.folder, "runs", elsewhere), { recursive: true });
    await finetune(options(elsewhere, { resume: true }));
    expect(bytesOf(join(world.folder, "runs", elsewhere))).toEqual(plain);
  }
  expect(readFileSync(join(laid.at(-1)?.folder as string, "adapter/adapter_model.safetensors"))).toEqual(
    readFileSync(join(world.folder, "runs/plain/adapter/adapter_model.safetensors")),
  );
});
