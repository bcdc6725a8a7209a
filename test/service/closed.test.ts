/** What ends when somebody closes it: projects that are archived, keys that are revoked, and what is asked for after it has gone. */
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { startTestServer, type TestServer } from "./server.ts";
import { newJob, REVIEWER, specOf, workUpTo } from "./things.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

interface Told {
  readonly error?: { readonly code: string };
  readonly data?: readonly { readonly body: { readonly moderation: object } }[];
}

const ask = (method: string, path: string, key: string, body?: unknown) =>
  fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

async function told(response: Promise<Response>): Promise<readonly [number, string | undefined]> {
  const answer = await response;
  const { error } = (await answer.json()) as Told;
  return [answer.status, error?.code];
}

test("an archived project is only read; what runs in it can still be stopped", async () => {
  const { store } = server;
  const { id } = await store.projects.create(SERVER, "to be archived");
  const key = await server.keyFor("user", id);
  const client = server.client(key);
  const file = await client.files.create({ file: new File(["{}\n"], "a.jsonl"), purpose: "fine-tune" });
  const upload = await client.uploads.create({
    bytes: 3,
    filename: "b.jsonl",
    mime_type: "text/jsonl",
    purpose: "fine-tune",
  });
  const principal = { key: "k", kind: "project", project: id, scopes: [], owner: "o" } as const;
  const [paused, open] = [await store.jobs.create(principal, newJob()), await store.jobs.create(principal, newJob())];
  await store.jobs.pause(principal, paused.id);
  await store.projects.archive(SERVER, id);

  const only = [400, "project_archived"];
  expect(await told(ask("DELETE", `/v1/files/${file.id}`, key))).toEqual(only);
  expect(await told(ask("POST", `/v1/fine_tuning/jobs/${paused.id}/resume`, key))).toEqual(only);
  expect(await told(ask("DELETE", "/v1/models/ft:any", key))).toEqual(only);
  expect(await told(ask("POST", `/v1/uploads/${upload.id}/complete`, key, { part_ids: [] }))).toEqual(only);
  expect(await told(ask("POST", "/v1/moderations", key, { input: "hello" }))).toEqual(only);
  expect((await client.files.retrieve(file.id)).id).toBe(file.id);
  expect(await told(ask("POST", `/v1/fine_tuning/jobs/${open.id}/cancel`, key))).toEqual([200, undefined]);
});

test("whoever listens to a project hears nothing more once the key is revoked", async () => {
  const made = await server.store.keys.create(SERVER, {
    kind: "project",
    project: server.project,
    name: "short",
    scopes: ["jobs:read"],
    owner: "short",
  });
  const answer = await ask("GET", "/v1/booster/stream", made.presented);
  expect(answer.status).toBe(200);
  const reader = answer.body!.getReader();
  await reader.read();
  // Wrong keys from the same address keep nobody's stream open.
  const { failedLogins } = server.service.rates;
  const take = failedLogins.take;
  failedLogins.take = () => 60;
  await server.store.keys.revoke(SERVER, made.key.id);
  const over = async (): Promise<boolean> => {
    for (;;) if ((await reader.read()).done) return true;
  };
  expect(await Promise.race([over(), wait(20_000, false)])).toBe(true);
  failedLogins.take = take;
});

test("flagged rows that the sweep took away are none, and no fault", async () => {
  const { store } = server;
  const principal = { key: "k", kind: "project", project: server.project, scopes: [], owner: "o" } as const;
  const [base] = await store.bases.list();
  const job = await store.jobs.create(principal, newJob({ spec: { ...specOf(), base: base!.identity } }));
  const claim = await workUpTo(store, job, "moderate");
  const blobs = { "flags.json": "d".repeat(64) };
  await store.leases.finish(claim.job, claim.epoch, { end: "done", output: { blobs, facts: {} } });
  const answer = await ask("GET", `/v1/booster/jobs/${job.id}/rows`, server.key);
  expect(await answer.json()).toMatchObject({ object: "list", data: [] });
});

test("no judge of a policy is asked inside", async () => {
  const owner = await server.keyFor("owner");
  const { body } = ((await (await ask("GET", "/v1/booster/policies/default", owner)).json()) as Told).data![0]!;
  const moderator = { name: "judge", baseUrl: "http://10.0.0.1/v1", model: "judge" };
  const policy = { ...body, moderation: { ...body.moderation, moderator } };
  const refused = await ask("POST", "/v1/booster/policies", owner, { policy, sets: [] });
  expect(refused.status).toBe(400);
  expect(((await refused.json()) as Told).error).toMatchObject({
    code: "invalid_policy",
    message: expect.stringMatching(/without TLS/),
  });
});

test("a judge whose name leads inside is not asked: neither when the policy is set, nor when somebody is judged", async () => {
  let connections = 0;
  const inside = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => inside.listen(0, resolve));
  const { port } = inside.address() as AddressInfo;
  const owner = await server.keyFor("owner");
  const { body } = ((await (await ask("GET", "/v1/booster/policies/default", owner)).json()) as Told).data![0]!;
  const moderator = {
    name: "judge",
    baseUrl: `https://localhost:${port}/v1`,
    model: "judge",
    retries: 0,
    publicOnly: false,
  };
  const { limits } = body as unknown as { readonly limits: object };
  const policy = {
    ...body,
    name: "judged",
    moderation: { ...body.moderation, moderator },
    limits: { ...limits, category: {} },
  };
  expect((await ask("POST", "/v1/booster/policies", owner, { policy, sets: [] })).status).toBe(200);
  const { id } = await server.store.projects.create(SERVER, "judged");
  await server.store.projects.update(SERVER, id, { policy: "judged" });
  const answer = await ask("POST", "/v1/moderations", await server.keyFor("user", id), { input: "hello" });
  // What cannot be judged counts as flagged.
  expect(await answer.json()).toMatchObject({ results: [{ flagged: true }] });
  expect(connections).toBe(0);
  inside.close();
});

test("who asks under another name is refused with the id of the request", async () => {
  const { request } = await import("node:http");
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    request(`${server.url}/healthz`, { headers: { host: "elsewhere.example" } }, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode, ...answer.headers });
    })
      .on("error", reject)
      .end();
  });
  expect(headers).toMatchObject({ "x-request-id": expect.stringMatching(/^req_/) });
});

test("a reviewer sees no job of others that was never held, whatever id it knows", async () => {
  const { store } = server;
  const principal = { key: "k", kind: "project", project: server.project, scopes: [], owner: "o" } as const;
  const job = await store.jobs.create(principal, newJob());
  expect(await store.records.states(REVIEWER, { after: 0, known: [job.id] })).toEqual([]);
});
