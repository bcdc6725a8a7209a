/** Hostile readings of the routes for owners, reviewers and workers. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { SCOPES, SERVER } from "../../src/service/domain/principal.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { done, newJob, specOf, verdict, worker, workUpTo } from "./things.ts";

let server: TestServer;
let owner: string;
let token: string;
beforeAll(async () => {
  server = await startTestServer();
  owner = await server.keyFor("owner");
  token = await server.keyFor("worker");
});
afterAll(() => server.stop());

const ask = async (method: string, path: string, key: string, body?: unknown, headers = {}) => {
  const answer = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text.startsWith("{") ? JSON.parse(text) : text };
};

const newTenant = async () => {
  const { id } = await server.store.projects.create(SERVER, `project ${Math.random()}`);
  return { key: "k", kind: "project", project: id, scopes: [], owner: "o" } as const;
};
const jobOn = async (training = specOf().training, principal?: Awaited<ReturnType<typeof newTenant>>) => {
  const tenant = principal ?? (await newTenant());
  const [base] = await server.store.bases.list();
  const job = await server.store.jobs.create(tenant, newJob({ spec: { ...specOf(), training, base: base!.identity } }));
  return { tenant, job };
};

test("numbers that no database keeps are refused, and never a fault of the server", async () => {
  const { tenant, job } = await jobOn();
  const claim = await workUpTo(server.store, job, "train");
  const at = (name: string, body: object) =>
    ask("POST", `/internal/jobs/${job.id}/${name}`, token, { epoch: claim.epoch, ...body });
  for (const step of [1e300, 1e21, 2 ** 53, -1]) {
    const answer = await at("metrics", { rows: [{ step, train_loss: 1 }] });
    expect([step, answer.status, answer.body.error?.code]).toEqual([step, 400, "invalid_value"]);
  }
  expect((await at("metrics", { rows: [{ step: 1, train_loss: 1 }] })).status).toBe(200);
  const values = await at("metrics", { rows: [{ step: 2, skipped: 0.5, train_mean_token_accuracy: 7 }] });
  expect(values.status).toBe(400);
  const key = await server.keyFor("user", tenant.project);
  expect((await ask("GET", `/v1/booster/jobs/${job.id}/metrics`, key)).status).toBe(200);
});

test("a stage that says more of itself than can be is refused before it counts", async () => {
  const { job } = await jobOn();
  const first = await workUpTo(server.store, job, "validate");
  const steps = { end: "done", output: { blobs: {}, facts: { steps: 1e300 } } };
  const finish = (epoch: number, body: object) =>
    ask("POST", `/internal/jobs/${job.id}/finish`, token, { epoch, ...body });
  const refused = await finish(first.epoch, { outcome: steps });
  const states = await server.store.records
    .states({ ...SERVER, project: job.project }, { after: 0, known: [] })
    .then(() => "told", String);
  expect([refused.status, states]).toEqual([400, "told"]);
});

test("counts of moderation that contradict each other", async () => {
  const { job } = await jobOn();
  const claim = await workUpTo(server.store, job, "moderate");
  const outcome = { end: "done", output: { blobs: {}, facts: { rows: 1, flagged: 5 } } };
  const answer = await ask("POST", `/internal/jobs/${job.id}/finish`, token, {
    epoch: claim.epoch,
    outcome,
    took: { stage: "moderate", seconds: 1 },
  });
  expect(answer.status).not.toBe(500);
});

test("the last stage without its verdict, or with one without a report", async () => {
  const { job } = await jobOn();
  const claim = await workUpTo(server.store, job, "decide");
  const finish = (body: object) =>
    ask("POST", `/internal/jobs/${job.id}/finish`, token, { epoch: claim.epoch, outcome: done, ...body });
  expect((await finish({})).status).toBe(400);
  expect((await finish({ verdict: { verdict: "released", adapter: {} } })).status).toBe(400);
  expect((await finish({ verdict: verdict("released") })).status).toBe(200);
});

test("scopes and slots are named once each", async () => {
  const scopes = Array.from({ length: 50_000 }, () => "metrics");
  const key = await ask("POST", "/v1/booster/api_keys", owner, { name: "a", owner: "a", scopes });
  expect(key.status).toBe(400);
  const whole = await ask("POST", "/v1/booster/api_keys", owner, {
    name: "a",
    owner: "a",
    scopes: SCOPES,
    project: server.project,
  });
  expect(whole.status).toBe(200);
  const slots = Array.from({ length: 50_000 }, () => "light");
  expect((await ask("POST", "/internal/claim", token, { ...worker(), slots })).status).toBe(400);
});

test("names of files that a worker stores are no ways out of a folder", async () => {
  const { job } = await jobOn();
  const claim = await workUpTo(server.store, job, "train");
  const { sha256 } = await server.store.blobs.put(Buffer.from("x"));
  for (const name of ["../x", "a/../../x", "/etc/x", "a\\x", "..", "a//x", "./x", "a\u0001"]) {
    const checkpoint = { step: 1, epochEnd: false, files: { [name]: sha256 }, metrics: {} };
    const kept = await ask("POST", `/internal/jobs/${job.id}/checkpoints`, token, { epoch: claim.epoch, checkpoint });
    expect([name, kept.status]).toEqual([name, 400]);
    const outcome = { end: "done", output: { blobs: { [`adapter/${name}`]: sha256 }, facts: {} } };
    const finished = await ask("POST", `/internal/jobs/${job.id}/finish`, token, { epoch: claim.epoch, outcome });
    expect([name, finished.status]).toEqual([name, 400]);
  }
});

test("a worker reads no blob that its job neither was given nor made, whatever it says of itself", async () => {
  const other = await server.store.blobs.put(Buffer.from("another project's rows"));
  const { job } = await jobOn();
  const claim = await workUpTo(server.store, job, "validate");
  const finished = await ask("POST", `/internal/jobs/${job.id}/finish`, token, {
    epoch: claim.epoch,
    outcome: { end: "done", output: { blobs: { "checks.json": other.sha256 }, facts: { also: other.sha256 } } },
  });
  const next = await workUpTo(server.store, job, "moderate").catch(() => undefined);
  const read = await ask("GET", `/internal/blobs/${other.sha256}?job=${job.id}&epoch=${next?.epoch}`, token);
  expect([finished.status, read.status]).toEqual([200, 404]);
});

const flagged = async (bytes: Uint8Array, lines: number[]) => {
  const training = await server.store.blobs.put(bytes);
  const { tenant, job } = await jobOn({ file: "file-a", sha256: training.sha256, filename: "a.jsonl" });
  const claim = await workUpTo(server.store, job, "moderate");
  const flags = await server.store.blobs.put(
    Buffer.from(JSON.stringify(lines.map((line) => ({ line, categories: [] })))),
  );
  await server.store.leases.finish(job.id, claim.epoch, {
    end: "done",
    output: { blobs: { "flags.json": flags.sha256 }, facts: {} },
  });
  const last = await workUpTo(server.store, job, "decide");
  await server.store.leases.finish(job.id, last.epoch, done, verdict("held"));
  const answer = await ask("GET", `/v1/booster/reviews/${job.id}/texts`, await server.keyFor("reviewer"));
  return { tenant, job, texts: answer.body as { data: { line: number; text: string }[]; has_more: boolean } };
};

test("a reviewer is shown the very rows that were flagged, however the file is written", async () => {
  const rows = ["{}", '{"messages":\r[]}', '{"a":"\u2028\u2029"}', "the flagged one", "{}"];
  const text = rows.join("\n");
  const plain = await flagged(Buffer.from(text), [4]);
  expect(plain.texts.data).toEqual([{ line: 4, categories: [], text: "the flagged one" }]);
  const packed = await flagged(gzipSync(text), [2, 4]);
  expect(packed.texts.data.map((row) => row.text)).toEqual([rows[1], rows[3]]);
  const dos = await flagged(Buffer.from(`\ufeff${rows.join("\r\n")}`), [1, 4]);
  expect(dos.texts.data.map((row) => row.text)).toEqual([rows[0], rows[3]]);
});

test("flagged rows beyond those that are shown are told of", async () => {
  const lines = Array.from({ length: LIMITS.faultsShown + 1 }, (_, i) => i + 1);
  const { texts } = await flagged(Buffer.from(lines.map((line) => `${line}\n`).join("")), lines);
  expect([texts.data.length, texts.has_more]).toEqual([LIMITS.faultsShown, true]);
});

test("usage goes on to the last page, however far away", async () => {
  const query = `start_time=${1_000_000 * 86_400}&end_time=999999999999&limit=1`;
  const first = await ask("GET", `/v1/organization/usage/completions?${query}`, owner);
  const next = await ask("GET", `/v1/organization/usage/completions?${query}&page=${first.body.next_page}`, owner);
  expect(next.status).toBe(200);
});

test("what is changed in a project stands in the audit log", async () => {
  const { project } = await newTenant();
  await ask("POST", `/v1/booster/projects/${project}`, owner, {
    policy: "default",
    settings: { resultFiles: "base64" },
  });
  const { data } = await server.store.audit.list(SERVER, { limit: 1, types: ["project.changed"] });
  expect(data[0]!.data).toEqual({ id: project, policy: "default", settings: { resultFiles: "base64" } });
});

test("who asks again for a key, a service account or a webhook has one in the end", async () => {
  const { project } = await newTenant();
  const again = async (path: string, body: object, headers: object) => [
    (await ask("POST", path, owner, body, headers)).body,
    (await ask("POST", path, owner, body, { ...headers, "x-stainless-retry-count": "1" })).body,
  ];
  for (const name of ["with a key", "by itself"]) {
    const headersOf = (of: string) =>
      name === "by itself" ? { "x-stainless-retry-count": "0" } : { "idempotency-key": `again ${of}` };
    const [key, key2] = await again("/v1/booster/api_keys", { name, owner: "a", preset: "owner" }, headersOf("key"));
    expect(key2.id).toBe(key.id);
    expect((await ask("GET", "/v1/booster/api_keys", key2.key)).status).toBe(200);
    expect((await ask("GET", "/v1/booster/api_keys", key.key)).body.error.code).toBe("invalid_api_key");
    const [account, account2] = await again(
      `/v1/organization/projects/${project}/service_accounts`,
      { name },
      headersOf("account"),
    );
    expect(account2.id).toBe(account.id);
    expect((await ask("GET", "/v1/files", account2.api_key.value)).status).toBe(200);
    const [hook, hook2] = await again("/v1/booster/webhooks", { name, url: "http://127.0.0.1:1/" }, headersOf("hook"));
    expect(hook2).toEqual(hook);
  }
});

test("rows of a policy's set come with it, or with another policy, and from nowhere else", async () => {
  const file = await server.client().files.create({ file: rowsFile(200), purpose: "fine-tune" });
  const sha256 = (await server.store.files.get({ ...SERVER, project: server.project }, file.id))!.sha256;
  const { body } = (await ask("GET", "/v1/booster/policies/default", owner)).body.data[0];
  const set = { ...body.sets["evaluate/harmful"], sha256 };
  const policy = { ...body, sets: { ...body.sets, "evaluate/harmful": set } };
  const absent = { ...policy, sets: { ...policy.sets, "evaluate/harmful": { ...set, sha256: "e".repeat(64) } } };
  const [one, other] = [
    await ask("POST", "/v1/booster/policies", owner, { policy, sets: [] }),
    await ask("POST", "/v1/booster/policies", owner, { policy: absent, sets: [] }),
  ];
  expect(one.body.error.message).toBe(other.body.error.message);
});

test("streams of experiments count with all others of a key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-experiments-"));
  mkdirSync(join(folder, "mine"));
  writeFileSync(join(folder, "mine/result.json"), "{}");
  const other = await startTestServer({ experiments: folder });
  const { data } = await other.store.keys.list(SERVER, { limit: 1 });
  const headers = { authorization: `Bearer ${other.key}` };
  const open = () => fetch(`${other.url}/v1/booster/experiments/mine/events`, { headers });
  const leaves = Array.from({ length: LIMITS.streamsPerKey }, () => other.service.streams.enter(data[0]!.id));
  expect((await open()).status).toBe(429);
  leaves[0]!();
  // Finished, it has one thing to say.
  for (let i = 0; i < 3; i++) expect(await (await open()).text()).toContain("event: end");
  await other.stop();
  rmSync(folder, { recursive: true });
});
