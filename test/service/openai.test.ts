/** A1: the stock `openai` client, unmodified, against the routes that need no engine and no worker. */
import { createHash } from "node:crypto";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { FileObject, UploadObject } from "../../src/service/http/wire/file.ts";
import { CheckpointObject, EventObject, JobObject } from "../../src/service/http/wire/job.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";

let server: TestServer;
let client: OpenAI;
beforeAll(async () => {
  server = await startTestServer();
  client = server.client();
});
afterAll(() => server.stop());

/** All pages of a list. */
async function all<Item>(pages: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of pages) items.push(item);
  return items;
}

const upload = (name?: string) => client.files.create({ file: rowsFile(12, name), purpose: "fine-tune" });

describe("files", () => {
  test("create, list, retrieve, content, delete", async () => {
    const file = rowsFile(12, "Löwe 🦁.jsonl");
    const made = await client.files.create({ file, purpose: "fine-tune" });
    expect(FileObject.parse(made)).toMatchObject({
      status: "processed",
      filename: "Löwe 🦁.jsonl",
      bytes: file.size,
      purpose: "fine-tune",
    });
    expect(made._request_id).toMatch(/^req_/);
    expect(await client.files.retrieve(made.id)).toEqual(made);
    expect(await (await client.files.content(made.id)).text()).toBe(await file.text());
    expect((await all(client.files.list({ limit: 1 }))).map(({ id }) => id)).toContain(made.id);
    expect(await client.files.delete(made.id)).toMatchObject({ id: made.id, object: "file", deleted: true });
    await expect(client.files.retrieve(made.id)).rejects.toThrow(OpenAI.NotFoundError);
  });

  test("pages come to an end, in both orders", async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.push((await upload(`${i}.jsonl`)).id);
    const newest = (await all(client.files.list({ limit: 2, purpose: "fine-tune" }))).map(({ id }) => id);
    expect(newest.slice(0, 5)).toEqual(made.toReversed());
    expect((await all(client.files.list({ limit: 2, order: "asc" }))).map(({ id }) => id)).toEqual(newest.toReversed());
  });

  test("a bad file is kept, and says by line what is wrong", async () => {
    const text = `${await rowsFile(12).text()}{"messages": [{"role": "user", "content": "secret"}]}\nno JSON\n`;
    const made = await client.files.create({ file: new File([text], "bad.jsonl"), purpose: "fine-tune" });
    expect(made).toMatchObject({ status: "error", status_details: expect.stringContaining("line 13") });
    const checks = await client.get<{ faults: { line: number }[]; rows: number }>(`/booster/files/${made.id}/checks`);
    expect(checks.rows).toBe(12);
    expect(checks.faults.map(({ line }) => line)).toEqual([13, 14]);
    expect(JSON.stringify(checks)).not.toContain("secret");
    const refused = client.fineTuning.jobs.create({ model: "world-booster", training_file: made.id });
    await expect(refused).rejects.toMatchObject({ status: 400, code: "invalid_training_file", param: "training_file" });
  });

  test("expiry is told; what is no purpose, or no field, is refused by name", async () => {
    const made = await client.files.create({
      file: rowsFile(),
      purpose: "fine-tune",
      expires_after: { anchor: "created_at", seconds: 3600 },
    });
    expect(made.expires_at).toBe(made.created_at + 3600);
    const wrong = client.files.create({ file: rowsFile(), purpose: "batch" });
    await expect(wrong).rejects.toMatchObject({ status: 400, param: "purpose", type: "invalid_request_error" });
    const unknown = client.files.create({ file: rowsFile(), purpose: "fine-tune", porpose: "x" } as never);
    await expect(unknown).rejects.toMatchObject({ code: "unknown_parameter", param: "porpose" });
  });
});

describe("uploads", () => {
  test("three parts, sent out of order, become a file; completing again is the same", async () => {
    const bytes = Buffer.from(await rowsFile(300).arrayBuffer());
    const cuts = [0, 4000, 9000, bytes.length];
    const made = await client.uploads.create({
      bytes: bytes.length,
      filename: "big.jsonl",
      mime_type: "text/jsonl",
      purpose: "fine-tune",
    });
    expect(UploadObject.parse(made).status).toBe("pending");
    const parts = new Map<number, string>();
    for (const i of [2, 0, 1]) {
      const data = new File([bytes.subarray(cuts[i], cuts[i + 1])], "part");
      parts.set(i, (await client.uploads.parts.create(made.id, { data })).id);
    }
    const part_ids = [0, 1, 2].map((i) => parts.get(i)!);
    const md5 = createHash("md5").update(bytes).digest("hex");
    const done = await client.uploads.complete(made.id, { part_ids, md5 });
    expect(UploadObject.parse(done)).toMatchObject({ status: "completed", file: { status: "processed" } });
    expect(await client.uploads.complete(made.id, { part_ids })).toEqual(done);
    expect(Buffer.from(await (await client.files.content(done.file!.id)).arrayBuffer()).equals(bytes)).toBe(true);
    await expect(client.uploads.cancel(made.id)).rejects.toMatchObject({ status: 400, code: "invalid_upload_state" });
  });

  test("one that is given up takes no parts, and one of the wrong size no end", async () => {
    const ask = { bytes: 5, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
    const made = await client.uploads.create(ask);
    const part = await client.uploads.parts.create(made.id, { data: new File(["abc"], "part") });
    await expect(client.uploads.complete(made.id, { part_ids: [part.id] })).rejects.toMatchObject({ status: 400 });
    expect((await client.uploads.cancel(made.id)).status).toBe("cancelled");
    const late = client.uploads.parts.create(made.id, { data: new File(["abc"], "part") });
    await expect(late).rejects.toMatchObject({ status: 400, code: "invalid_upload_state" });
  });
});

describe("jobs", () => {
  test("create, list by metadata, retrieve, pause, resume, cancel; events to the end", async () => {
    const file = await upload();
    const job = await client.fineTuning.jobs.create({
      model: "world-booster",
      training_file: file.id,
      suffix: "mine",
      seed: 7,
      metadata: { team: "a b" },
      method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 2 } } },
    });
    expect(JobObject.parse(job)).toMatchObject({
      status: "validating_files",
      model: "world-booster",
      seed: 7,
      fine_tuned_model: null,
      hyperparameters: { n_epochs: 2, batch_size: "auto", learning_rate_multiplier: "auto" },
      metadata: { team: "a b" },
    });
    const other = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
    const found = await all(client.fineTuning.jobs.list({ metadata: { team: "a b" } }));
    expect(found.map(({ id }) => id)).toEqual([job.id]);
    const none = await all(client.fineTuning.jobs.list({ metadata: null, limit: 1 }));
    expect(none.map(({ id }) => id)).toEqual([other.id]);
    expect((await client.fineTuning.jobs.retrieve(job.id)).id).toBe(job.id);
    expect((await client.fineTuning.jobs.pause(job.id)).status).toBe("paused");
    expect((await client.fineTuning.jobs.resume(job.id)).status).toBe("validating_files");
    expect((await client.fineTuning.jobs.cancel(job.id)).status).toBe("cancelled");
    await expect(client.fineTuning.jobs.cancel(job.id)).rejects.toMatchObject({
      status: 400,
      code: "invalid_job_state",
    });
    const events = await all(client.fineTuning.jobs.listEvents(job.id, { limit: 1 }));
    for (const event of events) EventObject.parse(event);
    expect(events.at(-1)?.message).toContain("Created fine-tuning job");
    expect(await all(client.fineTuning.jobs.checkpoints.list(job.id))).toEqual([]);
    await client.fineTuning.jobs.cancel(other.id);
  });

  test("what a job cannot be is refused by the name of its field", async () => {
    const { id: training_file } = await upload();
    const create = (more: object) => client.fineTuning.jobs.create({ model: "world-booster", training_file, ...more });
    const refusals: [object, object][] = [
      [{ model: "nothing" }, { status: 404, code: "model_not_found", param: "model" }],
      [{ training_file: "file-none" }, { status: 400, code: "file_not_found", param: "training_file" }],
      [{ validation_file: training_file }, { code: "invalid_validation_file" }],
      [{ method: { type: "dpo" } }, { code: "method_unsupported" }],
      [{ suffix: "with space" }, { code: "invalid_value", param: "suffix" }],
      [{ sufix: "a" }, { code: "unknown_parameter", param: "sufix", message: expect.stringContaining("suffix") }],
      [{ hyperparameters: { n_epochs: 51 } }, { param: "hyperparameters.n_epochs" }],
      [{ integrations: [{ type: "wandb" }] }, { code: "unsupported_parameter" }],
      [{ booster: { defence: "nothing" } }, { status: 400 }],
      [{ booster: { moderation: { action: "drop" } } }, { code: "policy_violation" }],
      [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, "x"])) }, { param: "metadata" }],
    ];
    for (const [more, told] of refusals) await expect(create(more), JSON.stringify(more)).rejects.toMatchObject(told);
  });

  test("checkpoints are told newest first, and are not usable", async () => {
    const file = await upload();
    const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
    for (const stage of ["validate", "moderate"]) {
      const claim = await claimNext();
      expect(claim).toMatchObject({ job: job.id, stage });
      await server.store.leases.finish(job.id, claim.epoch, { end: "done", output: { blobs: {}, facts: {} } });
    }
    const { epoch } = await claimNext();
    for (const step of [2, 4]) {
      await server.store.leases.checkpoint(job.id, epoch, {
        step,
        epochEnd: true,
        files: {},
        metrics: { train_loss: 1 / step },
      });
    }
    const checkpoints = await all(client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 }));
    expect(checkpoints.map((one) => CheckpointObject.parse(one).step_number)).toEqual([4, 2]);
    const named = checkpoints[0]!.fine_tuned_model_checkpoint;
    expect(named).toMatch(/^ft:world-booster:.*:ckpt-step-4$/);
    await expect(client.models.retrieve(named)).rejects.toMatchObject({ status: 403, code: "model_not_released" });
    const from = client.fineTuning.jobs.create({ model: named, training_file: file.id });
    await expect(from).rejects.toMatchObject({ status: 403, code: "model_not_released" });
    await client.fineTuning.jobs.cancel(job.id);
  });
});

async function claimNext() {
  const facts = { id: "w", slots: ["light", "heavy"], threads: 8, host: "h", pid: 1, version: "0" } as const;
  return (await server.store.leases.claim(facts))!;
}

describe("models", () => {
  test("list, retrieve; bases cannot be deleted", async () => {
    const models = await all(client.models.list());
    expect(models).toMatchObject([{ id: "world-booster", object: "model" }]);
    expect(await client.models.retrieve("world-booster")).toMatchObject({ id: "world-booster" });
    await expect(client.models.delete("world-booster")).rejects.toMatchObject({ status: 403 });
    await expect(client.models.retrieve("none")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });

  test("permissions", async () => {
    const { id } = await server.store.projects.create(SERVER, "other");
    const { permissions } = client.fineTuning.checkpoints;
    const [granted] = await all(permissions.create("ft:world-booster:booster::abcdefgh", { project_ids: [id] }));
    expect(granted).toMatchObject({ object: "checkpoint.permission", project_id: id });
    const listed = await all(permissions.list("ft:world-booster:booster::abcdefgh", { limit: 1 }));
    expect(listed.map((one) => one.id)).toEqual([granted!.id]);
    const gone = await permissions.delete(granted!.id, {
      fine_tuned_model_checkpoint: "ft:world-booster:booster::abcdefgh",
    });
    expect(gone).toMatchObject({ id: granted!.id, deleted: true });
  });
});

test("moderations give every category that clients read", async () => {
  const { results, id, model } = await client.moderations.create({ input: ["hello there", "how are you"] });
  expect([id, model]).toEqual([expect.stringMatching(/^modr-/), "booster-world"]);
  expect(results).toHaveLength(2);
  for (const result of results) {
    expect(Object.keys(result.categories)).toHaveLength(13);
    expect(Object.values(result.category_scores).every((score) => typeof score === "number")).toBe(true);
  }
});

describe("errors", () => {
  test("every class of the client, with all four fields and a request id", async () => {
    const wrong = server.client("sk-nothing");
    await expect(wrong.models.list()).rejects.toMatchObject({
      status: 401,
      code: "invalid_api_key",
      type: "invalid_request_error",
      param: null,
      requestID: expect.stringMatching(/^req_/),
    });
    const reader = server.client(await server.keyFor("reader", server.project));
    const refused = reader.files.create({ file: rowsFile(), purpose: "fine-tune" });
    await expect(refused).rejects.toThrow(OpenAI.PermissionDeniedError);
    await expect(client.get("/nothing")).rejects.toMatchObject({ status: 404, code: "unknown_url" });
    await expect(client.delete("/files")).rejects.toMatchObject({ status: 405, code: "method_not_allowed" });
  });
});
