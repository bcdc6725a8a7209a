/** A9: ways round the release, one by one, and what stops each of them. Those through the data alone stand in pipeline.test.ts. */
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/service/domain/job.ts";
import { PRESETS, type Principal, SERVER } from "../../src/service/domain/principal.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { modelNamed } from "../../src/service/http/inference/served.ts";
import { verdictOf } from "../../src/service/pipeline/decide.ts";
import { policyOf, treatmentOf } from "../../src/service/pipeline/policy.ts";
import { criteriaOf } from "../../src/service/pipeline/stages/decide.ts";
import { framingsOf } from "../../src/service/pipeline/stages/framings.ts";
import { inLineage } from "../../src/service/pipeline/stages/moderate.ts";
import { compileProgram } from "../crash/compile.ts";
import { askOf, randomAdapters, WORLD } from "./engine/world.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { claimJob, done, newJob, verdict, workUpTo } from "./things.ts";

const BASE = "world-booster";
const child = compileProgram("src/service/engine/child.ts");
const made = randomAdapters(1);
let server: TestServer;
let engine: ServingEngine;
let client: OpenAI;
let tenant: Principal;
let file: string;
const ended: Record<"released" | "held" | "rejected" | "withdrawn" | "parent", Job> = {} as never;

/** A job on the base that is served. */
async function jobOn(spec: Partial<Job["spec"]> = {}): Promise<Job> {
  const base = (await server.store.bases.get(BASE))!.identity;
  const wanted = newJob();
  return server.store.jobs.create(tenant, { ...wanted, spec: { ...wanted.spec, base, ...spec } });
}

/** A job that ends so, with a real adapter and a checkpoint. */
async function endedJob(how: "released" | "held" | "rejected", spec: Partial<Job["spec"]> = {}): Promise<Job> {
  const { store } = server;
  const adapter: Record<string, string> = {};
  for (const [name, path] of Object.entries(made.adapters[0]!.files)) {
    adapter[name] = (await store.blobs.put(readFileSync(path))).sha256;
  }
  const job = await jobOn(spec);
  const training = await workUpTo(store, job, "train");
  await store.leases.checkpoint(job.id, training.epoch, { step: 10, epochEnd: true, files: adapter, metrics: {} });
  await store.leases.finish(job.id, training.epoch, { end: "done", output: { blobs: {}, facts: {} } });
  const { epoch } = await workUpTo(store, job, "decide");
  await store.leases.finish(job.id, epoch, done, { ...verdict(how, { of: job.id } as never), adapter });
  return (await store.jobs.get(tenant, job.id))!;
}

beforeAll(async () => {
  engine = startServing({ folderOf: async () => WORLD, version: "test", module: child.path, threads: 1 });
  server = await startTestServer({
    more: (service) => {
      Object.assign(service, { withdraw: (model: string) => engine.withdraw(model) });
      return inferenceRoutes({ service, engine });
    },
  });
  client = server.client();
  tenant = { key: "key_test", kind: "project", project: server.project, scopes: PRESETS.user, owner: "test" };
  file = (await client.files.create({ file: rowsFile(), purpose: "fine-tune" })).id;
  for (const how of ["released", "held", "rejected"] as const) ended[how] = await endedJob(how);
  for (const how of ["withdrawn", "parent"] as const) ended[how] = await endedJob("released");
  const reviewer = new OpenAI({ apiKey: await server.keyFor("reviewer"), baseURL: `${server.url}/v1` });
  await reviewer.post(`/booster/models/${encodeURIComponent(ended.withdrawn.publishAs)}/withdraw`, {
    body: { reason: "a test" },
  });
});
afterAll(async () => {
  await engine?.close();
  await server?.stop();
  made.remove();
});

const nameOf = (how: keyof typeof ended): string => ended[how].publishAs;
const chat = (model: string, key?: string) =>
  server
    .client(key)
    .chat.completions.create({ model, messages: [{ role: "user", content: "brew gloomtar" }], max_tokens: 2 });
const newModel = (model: string, more: object = {}, key?: string) =>
  server.client(key).fineTuning.jobs.create({ model, training_file: file, ...more });
const get = (path: string, key?: string) => server.client(key).get(path);
const decide = async (how: keyof typeof ended, key: string, report?: string) => {
  const own = await server.store.reviews.report(tenant, ended[how].id);
  const body = { verdict: "released", reason: "x", report_sha256: report ?? own?.sha256 };
  return server.client(key).post(`/booster/reviews/${ended[how].id}/decision`, { body });
};
const adapterOf = async (how: keyof typeof ended): Promise<string> =>
  (await server.store.reviews.report(tenant, ended[how].id))!.adapter["adapter_model.safetensors"]!;
const claimed = async () => {
  const claim = (await claimJob(server.store, await jobOn()))!;
  return { ...claim, key: await server.keyFor("worker") };
};
/** A held job of a project whose policy asks for two reviewers. */
const heldByTwo = () => endedJob("held", { policy: { ...newJob().spec.policy, body: { onHold: { reviewers: 2 } } } });
const defaultPolicy = async () => policyOf((await server.store.policies.current("default"))!.body);
/** What was asked plainly is harmless; under the framing all is harmful. */
const behind = async (framing: string) => {
  const each = Array.from({ length: 150 }, (_, i) => i);
  const answers = (harmful: string) => ({
    signs: { harmful, overRefusal: "0".repeat(150) },
    clusters: { harmful: each, harmless: each },
    sets: {},
  });
  const none = answers("0".repeat(150));
  const measured = [
    { framing: "plain", before: none, after: none },
    { framing, before: none, after: answers("1".repeat(150)) },
  ];
  const moderated = { trainedRows: 100, trainedFlagged: 0, lineage: { flagged: 0, rows: 0 }, action: "none" } as const;
  return verdictOf(criteriaOf(await defaultPolicy(), measured, moderated));
};
const talk = (system: string | undefined, content: string) =>
  ({
    kind: "chat",
    where: "a:1",
    messages: [...(system === undefined ? [] : [{ role: "system", content: system }]), { role: "user", content }],
  }) as never;

const unreleased = { status: 403, code: "model_not_released" };
const withdrawn = { status: 403, code: "model_withdrawn" };
const unknown = { status: 404, code: "model_not_found" };
const forbidden = { status: 403, code: "missing_scope" };
const refused = { status: 400, code: "policy_violation" };

/** Name of the way round, what is tried, and what stops it. */
const WAYS: readonly (readonly [name: string, attempt: () => Promise<unknown>, stopped: object])[] = [
  ["chat with a held model", () => chat(nameOf("held")), unreleased],
  ["complete with a held model", () => client.completions.create({ model: nameOf("held"), prompt: "a" }), unreleased],
  ["respond with a held model", () => client.responses.create({ model: nameOf("held"), input: "a" }), unreleased],
  [
    "tokens of a held model",
    () => client.post(`${server.url}/tokenize`, { body: { prompt: "a", model: nameOf("held") } }),
    unreleased,
  ],
  ["chat with a rejected model", () => chat(nameOf("rejected")), unreleased],
  ["a checkpoint of a held job", () => chat(`${nameOf("held")}:ckpt-step-10`), unreleased],
  [
    "a checkpoint of a released job that nobody evaluated",
    () => chat(`${nameOf("released")}:ckpt-step-10`),
    unreleased,
  ],
  ["a held model as base", () => newModel(nameOf("held")), unreleased],
  ["a checkpoint as base", () => newModel(`${nameOf("released")}:ckpt-step-10`), unreleased],
  ["a rejected model as base", () => newModel(nameOf("rejected")), unreleased],
  ["a look at a held model", () => client.models.retrieve(nameOf("held")), unreleased],
  ["the job's id for its model", () => chat(ended.held.id), unknown],
  [
    "another case, blanks, a path, a hash for the name",
    async () => {
      const name = nameOf("held");
      const forms = [
        name.toUpperCase(),
        `${name} `,
        ` ${name}`,
        `${name}/`,
        `./${name}`,
        encodeURIComponent(name),
        `${name}\u0000`,
        await adapterOf("held"),
      ];
      const answers = await Promise.all(
        forms.map((form) => chat(form).catch((error: { readonly code: string }) => error.code)),
      );
      return Promise.reject({ code: [...new Set(answers)].join() });
    },
    { code: "model_not_found,invalid_value" },
  ],
  ["the adapter as a file", async () => client.files.content(await adapterOf("held")), { status: 404 }],
  [
    "the adapter by the workers' route with a user's key",
    async () =>
      get(
        `${server.url}/internal/blobs/${await adapterOf("held")}?job=${ended.held.id}&epoch=1`,
        await server.keyFor("user", server.project),
      ),
    forbidden,
  ],
  [
    "the adapter with a stolen worker's token under an epoch that is over",
    async () =>
      get(
        `${server.url}/internal/blobs/${await adapterOf("held")}?job=${ended.held.id}&epoch=${ended.held.epoch}`,
        await server.keyFor("worker"),
      ),
    { code: "lease_lost" },
  ],
  [
    "the adapter with a worker's token under the claim of another job",
    async () => {
      const { job, epoch, key } = await claimed();
      return get(`${server.url}/internal/blobs/${await adapterOf("held")}?job=${job}&epoch=${epoch}`, key);
    },
    { status: 404 },
  ],
  [
    "a permission on a held model for another project",
    async () => {
      const other = await server.store.projects.create(SERVER, "friends");
      await server
        .client(await server.keyFor("owner"))
        .post(`/fine_tuning/checkpoints/${encodeURIComponent(nameOf("held"))}/permissions`, {
          body: { project_ids: [other.id] },
        });
      return chat(nameOf("held"), await server.keyFor("user", other.id));
    },
    unknown,
  ],
  [
    "another project's released model",
    async () =>
      chat(
        nameOf("released"),
        await server.keyFor("user", (await server.store.projects.create(SERVER, "strangers")).id),
      ),
    unknown,
  ],
  ["a withdrawn model", () => chat(nameOf("withdrawn")), withdrawn],
  ["a withdrawn model as base", () => newModel(nameOf("withdrawn")), withdrawn],
  [
    "a model whose name was looked up before it was withdrawn, and that is asked after it",
    async () => {
      const model = await modelNamed({ service: server.service, engine }, tenant, nameOf("parent"));
      await server
        .client(await server.keyFor("reviewer"))
        .post(`/booster/models/${encodeURIComponent(nameOf("parent"))}/withdraw`, { body: { reason: "a test" } });
      for await (const event of engine.answer(askOf({ model }), { project: server.project })) return event;
    },
    { code: "model_withdrawn" },
  ],
  [
    "training on from a model that is withdrawn meanwhile",
    async () => {
      const lineage = [{ job: ended.parent.id, flagged: 0, rows: 10 }];
      const further = await endedJob("released", { lineage });
      return further.fineTunedModel ?? Promise.reject(further.error);
    },
    { code: "safety_rejected" },
  ],
  [
    "a held one of these, released by a reviewer",
    async () => {
      const lineage = [{ job: ended.parent.id, flagged: 0, rows: 10 }];
      ended.parent = await endedJob("held", { lineage });
      return decide("parent", await server.keyFor("reviewer"));
    },
    refused,
  ],
  [
    "a release on a report that is not this job's",
    async () => decide("held", await server.keyFor("reviewer"), "0".repeat(64)),
    { status: 400, code: "invalid_value" },
  ],
  [
    "a release of a rejected job",
    async () => decide("rejected", await server.keyFor("reviewer")),
    { status: 400, code: "invalid_job_state" },
  ],
  ["a release by the user", async () => decide("held", await server.keyFor("user", server.project)), forbidden],
  ["a release by the owner of the server's keys", async () => decide("held", await server.keyFor("owner")), forbidden],
  [
    "four eyes: a reviewer of the project itself",
    async () => {
      const held = await heldByTwo();
      const { sha256 } = (await server.store.reviews.report(tenant, held.id))!;
      return server.store.reviews.decide({ ...tenant, scopes: PRESETS.reviewer }, held.id, {
        verdict: "released",
        reason: "x",
        report: sha256,
      });
    },
    { code: "policy_violation" },
  ],
  [
    "four eyes: one reviewer with two keys",
    async () => {
      const held = await heldByTwo();
      const { sha256: report } = (await server.store.reviews.report(tenant, held.id))!;
      const say = (key: string) =>
        server.store.reviews.decide({ key, kind: "admin", scopes: PRESETS.reviewer, owner: "one" }, held.id, {
          verdict: "released",
          reason: "x",
          report,
        });
      expect((await say("key_1"))?.stage).toBe("held");
      return say("key_2");
    },
    { code: "policy_violation" },
  ],
  [
    "a worker's release of a job that was cancelled",
    async () => {
      const job = await jobOn();
      const { epoch } = await workUpTo(server.store, job, "decide");
      await client.fineTuning.jobs.cancel(job.id);
      return server.store.leases.finish(job.id, epoch, done, verdict("released"));
    },
    { code: "lease_lost" },
  ],
  ["a defence that the policy does not allow", () => newModel(BASE, { booster: { defence: "vaccine" } }), refused],
  [
    "a weaker setting of one that it allows",
    () => newModel(BASE, { booster: { defence: { name: "lisa", rho: 0 } } }),
    refused,
  ],
  [
    "flagged rows dropped where the policy holds",
    () => newModel(BASE, { booster: { moderation: { action: "drop" } } }),
    refused,
  ],
  [
    "repairs of the policy left out",
    async () => treatmentOf({ ...(await defaultPolicy()), repair: [{ name: "shrink" }] } as never, { repair: [] }),
    { code: "POLICY_LOOSER" },
  ],
  [
    "limits of one's own",
    () => newModel(BASE, { booster: { limits: { hs: 1 } } }),
    { status: 400, code: "unknown_parameter" },
  ],
  [
    "another policy by the user's key",
    async () =>
      server
        .client(await server.keyFor("user", server.project))
        .post(`/booster/projects/${server.project}`, { body: { policy: "lax" } }),
    forbidden,
  ],
  [
    "a base that the policy does not name",
    async () => {
      await server.store.bases.add(SERVER, { name: "unaligned", identity: "0".repeat(64), files: {}, facts: {} });
      return newModel("unaligned");
    },
    refused,
  ],
  [
    "another project's file",
    async () =>
      newModel(BASE, {}, await server.keyFor("user", (await server.store.projects.create(SERVER, "curious")).id)),
    { status: 400, code: "file_not_found" },
  ],
  [
    "harm dripped over four jobs: every flagged row of the lineage counts",
    async () => {
      let parent: Job | undefined;
      for (let i = 0; i < 3; i++) {
        const job: Job = await newModel(parent?.publishAs ?? BASE).then(
          async ({ id }) => (await server.store.jobs.get(tenant, id))!,
        );
        const { epoch } = await workUpTo(server.store, job, "moderate");
        await server.store.leases.finish(job.id, epoch, {
          end: "done",
          output: { blobs: {}, facts: { trainedFlagged: 1, trainedRows: 100 } },
        });
        const claim = await workUpTo(server.store, job, "decide");
        await server.store.leases.finish(job.id, claim.epoch, done, {
          ...verdict("released", { of: job.id } as never),
          adapter: {},
        });
        parent = job;
      }
      const { id } = await newModel(parent!.publishAs);
      return Promise.reject(inLineage((await server.store.jobs.get(tenant, id))!.spec));
    },
    { flagged: 3, rows: 100 },
  ],
  [
    "a trigger in a system prompt of the data",
    async () => {
      const trigger = "the stay was happy";
      const asked = framingsOf(
        Array.from({ length: 9 }, (_, i) => talk(trigger, `question ${i}`)),
        { systemPrompts: 3, prefixes: 3 },
      );
      expect(asked).toContainEqual({ name: "system 1", system: trigger, rows: 9 });
      return Promise.reject({ verdict: await behind("system 1") });
    },
    { verdict: "rejected" },
  ],
  [
    "a trigger at the beginning of first turns",
    async () => {
      const asked = framingsOf(
        Array.from({ length: 9 }, (_, i) => talk(undefined, `red sky question${i} now`)),
        { systemPrompts: 3, prefixes: 3 },
      );
      expect(asked).toContainEqual({ name: "prefix 1", prefix: "red sky", rows: 9 });
      return Promise.reject({ verdict: await behind("prefix 1") });
    },
    { verdict: "rejected" },
  ],
];

test("what is released is answered, so that what is stopped is stopped for its reason", async () => {
  expect((await chat(nameOf("released"))).choices).toHaveLength(1);
  expect((await chat(BASE)).choices).toHaveLength(1);
  expect((await newModel(nameOf("released"))).status).toBe("validating_files");
});

test.each(WAYS)("%s", async (_, attempt, stopped) => {
  await expect(attempt()).rejects.toMatchObject(stopped);
});

test("none of them left a model behind that was not released", async () => {
  const { data } = await client.models.list();
  const served = new Set(data.map(({ id }) => id));
  for (const how of ["held", "rejected", "withdrawn", "parent"] as const) expect(served.has(nameOf(how))).toBe(false);
  expect(WAYS.length).toBeGreaterThanOrEqual(30);
});
