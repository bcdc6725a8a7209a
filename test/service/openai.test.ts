/** A1: the stock `openai` client, unmodified, against the routes that need no engine and no worker. */
import { createHash } from "node:crypto";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { type Principal, SERVER } from "../../src/service/domain/principal.ts";
import { FileObject, UploadObject } from "../../src/service/http/wire/file.ts";
import { CheckpointObject, EventObject, JobObject } from "../../src/service/http/wire/job.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { done, newJob, verdict, workUpTo } from "./things.ts";

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

  test("what is refused leaves no blob: other parts than announced, a wrong order, files and parts beyond the quota", async () => {
    const blobsNow = async () => {
      const names = [];
      for await (const { sha256 } of server.store.blobs.list()) names.push(sha256);
      return names.length;
    };
    const part = (upload: string, text: string) =>
      client.uploads.parts.create(upload, { data: new File([text], "part") });
    const ask = { bytes: 6, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
    const made = await client.uploads.create(ask);
    const [one, two] = [await part(made.id, "one"), await part(made.id, "two")];
    const before = await blobsNow();
    await expect(part(made.id, "x".repeat(7))).rejects.toMatchObject({ status: 400, code: "invalid_value" });
    await expect(part(made.id, "x".repeat(100_000))).rejects.toMatchObject({ status: 400, code: "invalid_value" });
    const md5 = createHash("md5").update("onetwo").digest("hex");
    const turned = client.uploads.complete(made.id, { part_ids: [two.id, one.id], md5 });
    await expect(turned).rejects.toMatchObject({ status: 400, param: "md5" });
    // Twice at most.
    const again = [await part(made.id, "one"), await part(made.id, "two")];
    await expect(part(made.id, "x")).rejects.toMatchObject({ status: 400, code: "invalid_value" });
    expect(new Set([one, two, ...again].map(({ id }) => id)).size).toBe(4);
    const of: Principal = { key: "k", kind: "project", project: server.project, scopes: [], owner: "o" };
    const { bytes: left } = await server.store.files.room(of);
    expect(left).toBeLessThan(LIMITS.fileBytesPerProject - 11);
    const full = await server.store.files.create(of, {
      sha256: "0".repeat(64),
      bytes: left - 12,
      filename: "full",
      purpose: "fine-tune",
    });
    const noRoom = { status: 429, code: "quota_exceeded" };
    const once = { maxRetries: 0 };
    const file = new File(["more than is left"], "a.jsonl");
    await expect(client.files.create({ file, purpose: "fine-tune" }, once)).rejects.toMatchObject(noRoom);
    await expect(client.uploads.create({ ...ask, bytes: 13 }, once)).rejects.toMatchObject(noRoom);
    expect(await blobsNow()).toBe(before);
    expect((await client.uploads.complete(made.id, { part_ids: [one.id, two.id], md5 })).status).toBe("completed");
    await server.store.files.delete(of, full.id);
  });

  test("a file that took the last room is told again to whoever did not hear it", async () => {
    const of: Principal = { key: "k", kind: "project", project: server.project, scopes: [], owner: "o" };
    const { bytes: left } = await server.store.files.room(of);
    const sized = { sha256: "0".repeat(64), bytes: left - 12, filename: "full", purpose: "fine-tune" } as const;
    const full = await server.store.files.create(of, sized);
    const headers = { "idempotency-key": "the last room" };
    const send = () =>
      client.files.create({ file: new File(["twelve bytes"], "a"), purpose: "fine-tune" }, { headers, maxRetries: 0 });
    const made = await send();
    expect((await send()).id).toBe(made.id);
    for (const id of [full.id, made.id]) await server.store.files.delete(of, id);
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
      [
        { booster: { evaluation: { task_metric: "poetry" } } },
        { code: "invalid_value", param: "booster.evaluation.task_metric" },
      ],
      [{ booster: { evaluation: { task_metric: "sst2" } } }, { param: "validation_file" }],
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
    const { store, project } = server;
    const wanted = newJob();
    const base = (await store.bases.get("world-booster"))!.identity;
    const job = await store.jobs.create({ ...SERVER, project }, { ...wanted, spec: { ...wanted.spec, base } });
    const grant = () => all(permissions.create(job.publishAs, { project_ids: [id] }));
    await expect(grant()).rejects.toMatchObject({ status: 404, code: "model_not_found" });
    const { epoch } = await workUpTo(store, job, "decide");
    await store.leases.finish(job.id, epoch, done, verdict("released"));
    const [granted] = await grant();
    expect(granted).toMatchObject({ object: "checkpoint.permission", project_id: id });
    const listed = await all(permissions.list(job.publishAs, { limit: 1 }));
    expect(listed.map((one) => one.id)).toEqual([granted!.id]);
    const gone = await permissions.delete(granted!.id, { fine_tuned_model_checkpoint: job.publishAs });
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

describe("administration", () => {
  const organization = () => client.admin.organization;

  test("projects: create, list with archived ones, retrieve, rename, archive", async () => {
    const { projects } = organization();
    const made = await projects.create({ name: "team" });
    expect(made).toMatchObject({ object: "organization.project", name: "team", status: "active", archived_at: null });
    expect((await projects.update(made.id, { name: "group" })).name).toBe("group");
    expect((await projects.retrieve(made.id)).name).toBe("group");
    expect((await all(projects.list({ limit: 1 }))).map(({ id }) => id)).toContain(made.id);
    expect(await projects.archive(made.id)).toMatchObject({ status: "archived", archived_at: expect.any(Number) });
    expect((await all(projects.list({ limit: 1 }))).map(({ id }) => id)).not.toContain(made.id);
    expect((await all(projects.list({ limit: 1, include_archived: true }))).map(({ id }) => id)).toContain(made.id);
    await expect(projects.retrieve("proj_none")).rejects.toMatchObject({ status: 404 });
    await expect(projects.create({ name: "a", geography: "EU" })).rejects.toMatchObject({ param: "geography" });
  });

  test("service accounts and keys: made, told without their secret, ended; none leads into another project", async () => {
    const { projects } = organization();
    const { serviceAccounts, apiKeys } = projects;
    const [mine, other] = [await projects.create({ name: "mine" }), await projects.create({ name: "theirs" })];
    const made = await serviceAccounts.create(mine.id, { name: "nightly" });
    const value = made.api_key!.value;
    expect((await server.client(value).files.list()).data).toEqual([]);
    expect(await serviceAccounts.retrieve(made.id, { project_id: mine.id })).toMatchObject({
      name: "nightly",
      role: "member",
    });
    const second = await serviceAccounts.create(mine.id, { name: "daily" });
    expect((await all(serviceAccounts.list(mine.id, { limit: 1 }))).map(({ id }) => id)).toEqual([second.id, made.id]);
    const keys = await all(apiKeys.list(mine.id, { limit: 1 }));
    expect(keys.map(({ redacted_value }) => redacted_value.slice(-4))).toEqual(
      [second.api_key!.value, value].map((key) => key.slice(-4)),
    );
    expect(JSON.stringify(keys)).not.toContain(value.slice(12, -4));
    const id = keys[1]!.id;
    expect(await apiKeys.retrieve(id, { project_id: mine.id })).toMatchObject({
      object: "organization.project.api_key",
    });
    for (const wrong of [
      () => apiKeys.retrieve(id, { project_id: other.id }),
      () => apiKeys.delete(id, { project_id: other.id }),
      () => serviceAccounts.delete(id, { project_id: other.id }),
      () => apiKeys.list("proj_none"),
    ]) {
      await expect(wrong()).rejects.toMatchObject({ status: 404, code: "not_found" });
    }
    expect(await apiKeys.delete(id, { project_id: mine.id })).toMatchObject({ id, deleted: true });
    await expect(server.client(value).files.list()).rejects.toMatchObject({ status: 401, code: "key_revoked" });
    await expect(apiKeys.retrieve(id, { project_id: mine.id })).rejects.toMatchObject({ status: 404 });
    expect(await serviceAccounts.delete(second.id, { project_id: mine.id })).toMatchObject({ deleted: true });
    expect(await all(apiKeys.list(mine.id))).toEqual([]);
  });

  test("rate limits are told for each base", async () => {
    const limits = await all(organization().projects.rateLimits.listRateLimits(server.project));
    expect(limits).toMatchObject([
      { model: "world-booster", max_requests_per_1_minute: 120, max_tokens_per_1_minute: 100_000 },
    ]);
  });

  test("the audit log: newest first, by kind, project and time, to the end", async () => {
    const { auditLogs, projects } = organization();
    const { id } = await projects.create({ name: "audited" });
    const account = await projects.serviceAccounts.create(id, { name: "a" });
    await projects.apiKeys.delete(account.id, { project_id: id });
    const logs = await all(auditLogs.list({ project_ids: [id], limit: 1 }));
    expect(logs.map(({ type }) => type)).toEqual(["api_key.deleted", "api_key.created", "project.created"]);
    expect(logs[0]).toMatchObject({
      actor: { type: "api_key", api_key: { type: "service_account", service_account: { id: "owner" } } },
      project: { id },
      "api_key.deleted": { id: account.id },
    });
    const deletions = await all(
      auditLogs.list({ event_types: ["api_key.deleted", "login.failed"], project_ids: [id] }),
    );
    expect(deletions.map((one) => one.id)).toEqual([logs[0]!.id]);
    const at = logs[2]!.effective_at;
    expect(await all(auditLogs.list({ project_ids: [id], effective_at: { lt: at } }))).toEqual([]);
    expect(await all(auditLogs.list({ project_ids: [id], effective_at: { gte: at } }))).toHaveLength(3);
    const unknown = auditLogs.list({ actor_emails: ["a@b.example"] });
    await expect(unknown).rejects.toMatchObject({ status: 400, code: "unknown_parameter" });
  });

  test("usage by day, by project and by model, page by page", async () => {
    const { usage } = organization();
    const principal = { ...SERVER, project: server.project };
    const today = Math.floor(server.store.context.now() / 86_400) * 86_400;
    await server.store.usage.add(principal, "a", { requests: 1, prompt_tokens: 5, completion_tokens: 7 });
    await server.store.usage.add(principal, "b", { requests: 2, prompt_tokens: 10, completion_tokens: 1 });
    const ask = { start_time: today - 3 * 86_400, end_time: today + 86_400 } as const;
    const whole = await usage.completions(ask);
    expect(whole.data.map(({ start_time }) => (start_time - today) / 86_400)).toEqual([-3, -2, -1, 0]);
    expect(whole).toMatchObject({ object: "page", has_more: false, next_page: null });
    expect(whole.data[3]!.results).toMatchObject([
      { input_tokens: 15, output_tokens: 8, num_model_requests: 3, project_id: null, model: null },
    ]);
    const by = await usage.completions({ ...ask, group_by: ["model", "project_id"], models: ["b"] });
    expect(by.data[3]!.results).toMatchObject([{ input_tokens: 10, model: "b", project_id: server.project }]);
    const first = await usage.completions({ ...ask, limit: 3 });
    expect(first).toMatchObject({ has_more: true, data: [{}, {}, { end_time: today }] });
    const rest = await usage.completions({ ...ask, limit: 3, page: first.next_page! });
    expect(rest).toMatchObject({ has_more: false, data: [{ start_time: today }] });
    await expect(usage.completions({ ...ask, bucket_width: "1h" })).rejects.toMatchObject({ param: "bucket_width" });
  });
});

describe("webhooks", () => {
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await startReceiver();
  });
  afterAll(() => receiver.close());

  test("made, tried, verified by webhooks.unwrap, listed without the secret, deleted", async () => {
    type Hook = { readonly id: string; readonly secret: string };
    const hook = await client.post<Hook>("/booster/webhooks", { body: { name: "mine", url: receiver.url } });
    expect(hook.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await client.post(`/booster/webhooks/${hook.id}/test`, { body: {} })).toEqual({
      outcome: "delivered",
      status: 200,
    });
    const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
    const event = await client.webhooks.unwrap(body, headers as Record<string, string>, hook.secret);
    expect(event).toMatchObject({ id: expect.stringMatching(/^evt_/), object: "event", type: "booster.webhook.test" });
    const file = await upload();
    const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
    await client.fineTuning.jobs.cancel(job.id);
    const deliveries = await client.get<{ data: object[] }>(`/booster/webhooks/${hook.id}/deliveries`);
    expect(deliveries.data).toMatchObject([
      { type: "fine_tuning.job.cancelled", job_id: job.id, state: "waiting", tries: 0, last_try: null },
    ]);
    expect(JSON.stringify(await client.get("/booster/webhooks"))).not.toContain(hook.secret.slice(6));
    expect(server.log()).not.toContain(hook.secret.slice(6));
    await client.delete(`/booster/webhooks/${hook.id}`);
    await expect(client.get(`/booster/webhooks/${hook.id}/deliveries`)).rejects.toMatchObject({ status: 404 });
  });

  test("an address inside, without TLS or of another kind is refused by name", async () => {
    for (const url of ["https://10.0.0.1/", "http://example.com/", "https://[::ffff:10.0.0.1]/", "gopher://a", "x"]) {
      const made = client.post("/booster/webhooks", { body: { name: "a", url } });
      await expect(made, url).rejects.toMatchObject({ status: 400, param: "url" });
    }
    const unknown = client.post("/booster/webhooks", {
      body: { name: "a", url: receiver.url, events: ["batch.completed"] },
    });
    await expect(unknown).rejects.toMatchObject({ status: 400, param: "events.0" });
  });
});
