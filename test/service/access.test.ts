/** T26 and A6: who may call what, for every route of the OpenAPI document; one without a row in the matrix fails. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomBase62 } from "../../src/service/domain/ids.ts";
import { PRESETS, type Preset, SERVER } from "../../src/service/domain/principal.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import { ACCESS } from "../../src/service/http/access.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { type BaseKeeper, baseRoutes } from "../../src/service/http/routes/bases.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";

interface Operation {
  readonly method: string;
  readonly path: string;
}

let server: TestServer;
let operations: Operation[];
const keys = new Map<string, string>();
beforeAll(async () => {
  // It serves no base: whoever may ask is told that there is no such model.
  const engine = startServing({ folderOf: async () => undefined, version: "test" });
  const keeper: BaseKeeper = { add: async () => undefined, evaluate: async () => undefined, works: () => new Map() };
  server = await startTestServer({
    more: (service) => [...inferenceRoutes({ service, engine }), ...baseRoutes(service.store, engine, keeper)],
  });
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  };
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
  );
  const other = await server.store.projects.create(SERVER, "other");
  for (const preset of ["reader", "user"] as const) keys.set(preset, await server.keyFor(preset, server.project));
  for (const preset of ["reviewer", "owner", "worker"] as const) keys.set(preset, await server.keyFor(preset));
  keys.set("other", await server.keyFor("user", other.id));
});
afterAll(() => server.stop());

const call = ({ method, path }: Operation, key?: string, places: Readonly<Record<string, string>> = {}) =>
  fetch(server.url + path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(places[name] ?? "none")), {
    method,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(method === "GET" || method === "HEAD" ? {} : { "content-type": "application/json" }),
    },
    ...(method === "GET" || method === "HEAD" ? {} : { body: '{"nothing": true}' }),
  });

const rowOf = ({ method, path }: Operation) => ACCESS[`${method} ${path}`];
const named = (operation: Operation, status: number) => `${operation.method} ${operation.path}: ${status}`;

test("every route of the document has a row, and every row its route", () => {
  expect(operations.filter((one) => rowOf(one) === undefined)).toEqual([]);
  const known = new Set(operations.map(({ method, path }) => `${method} ${path}`));
  expect(Object.keys(ACCESS).filter((row) => !known.has(row))).toEqual([]);
  expect(operations.length).toBeGreaterThan(50);
});

test("without a key, with a wrong one and with one that has ended: 401", async () => {
  const ended = await server.keyFor("user", server.project);
  const { data } = await server.store.keys.list(SERVER, { limit: 1 });
  await server.store.keys.revoke(SERVER, data[0]!.id);
  const wrong: string[] = [];
  for (const one of operations.filter((operation) => rowOf(operation)?.scope !== "everyone")) {
    for (const key of [undefined, "sk-nothing", keys.get("user")!.replace(/.$/, "!"), ended]) {
      for (const method of one.method === "GET" ? ["GET", "HEAD"] : [one.method]) {
        const { status } = await call({ ...one, method }, key);
        if (status !== 401) wrong.push(named({ ...one, method }, status));
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("each preset is let in where the matrix says so, and nowhere else", async () => {
  const wrong: string[] = [];
  for (const preset of ["reader", "user", "reviewer", "owner", "worker"] as const satisfies readonly Preset[]) {
    const ofProject = preset === "reader" || preset === "user";
    for (const one of operations) {
      const { scope, tenant } = rowOf(one)!;
      if (scope === "everyone") continue;
      const has = scope === "key" || (PRESETS[preset] as readonly string[]).includes(scope);
      const reads = scope === "jobs:read" || scope === "models:read";
      const may = has && (tenant !== true || ofProject || reads);
      const { status } = await call(one, keys.get(preset));
      if ((status === 403) === may || status === 401 || status >= 500) wrong.push(`${preset} ${named(one, status)}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("what is another project's is not found, in the same words as what is not there", async () => {
  const client = server.client();
  const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
  const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
  const upload = await client.uploads.create({
    bytes: 5,
    filename: "a",
    mime_type: "text/jsonl",
    purpose: "fine-tune",
  });
  const { publishAs } = (await server.store.jobs.get({ ...SERVER, project: server.project }, job.id))!;
  const idOf = (path: string): string | undefined => {
    if (path.includes("/files/")) return file.id;
    if (path.includes("/jobs/")) return job.id;
    return path.includes("/uploads/") ? upload.id : path.includes("/models/") ? publishAs : undefined;
  };
  const seen: string[] = [];
  for (const one of operations.filter((operation) => rowOf(operation)?.tenant === true)) {
    const id = idOf(one.path);
    if (id === undefined || !one.path.includes("{id}")) continue;
    const bodies: string[] = [];
    for (const place of [id, `${id.slice(0, -4)}zzzz`]) {
      const response = await fetch(server.url + one.path.replace("{id}", encodeURIComponent(place)), {
        method: one.method,
        headers: { authorization: `Bearer ${keys.get("other")}` },
      });
      bodies.push(`${response.status} ${await response.text()}`);
    }
    if (bodies[0] !== bodies[1]) seen.push(`${one.path}: ${bodies.join(" | ")}`);
    if (one.method === "GET" && !bodies[0]!.startsWith("404")) seen.push(named(one, Number(bodies[0]!.slice(0, 3))));
  }
  expect(seen).toEqual([]);
  await expect(server.client(keys.get("other")).files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
  expect((await server.client(keys.get("other")).fineTuning.jobs.list()).data).toEqual([]);
  await client.fineTuning.jobs.cancel(job.id);
});

test("A6: what is done with an address is told to whoever asks for something else, with a key or without", async () => {
  const wrong: string[] = [];
  for (const path of new Set(operations.map((one) => one.path))) {
    const allowed = operations.filter((one) => one.path === path).map((one) => one.method);
    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      if (allowed.includes(method === "HEAD" ? "GET" : method)) continue;
      const response = await call({ method, path }, method === "PUT" ? keys.get("owner") : undefined);
      const told = response.headers.get("allow")?.split(", ").sort().join();
      if (response.status !== 405 || told !== allowed.sort().join())
        wrong.push(named({ method, path }, response.status));
    }
  }
  expect(wrong).toEqual([]);
});

test("a project that the header names must be the key's", async () => {
  const response = await fetch(`${server.url}/v1/files`, {
    headers: { authorization: `Bearer ${server.key}`, "openai-project": "proj_other" },
  });
  expect(response.status).toBe(401);
  expect(await response.json()).toMatchObject({ error: { code: "mismatched_project" } });
});

test("other names of the server are not answered", async () => {
  const { request } = await import("node:http");
  const status = await new Promise((resolve) => {
    request(`${server.url}/healthz`, { headers: { host: "evil.example" } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).end();
  });
  expect(status).toBe(403);
});

/** By night: times of a loaded machine decide nothing by day. */
test.runIf(process.env.BOOSTER_NIGHTLY !== undefined)(
  "A6: how long it takes does not tell what is another project's from what is not there",
  async () => {
    const PAIRS = 2000;
    const client = server.client();
    const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
    const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
    const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "pairs");
    const took = async (id: string): Promise<number> => {
      const path = id.startsWith("file") ? `/v1/files/${id}` : `/v1/fine_tuning/jobs/${id}`;
      const start = performance.now();
      const answer = await fetch(server.url + path, { headers: { authorization: `Bearer ${keys.get("other")}` } });
      await answer.text();
      expect(answer.status).toBe(404);
      return performance.now() - start;
    };
    for (const foreign of [file.id, job.id]) {
      const times: [foreign: number, absent: number][] = [];
      for (let i = 0; i < PAIRS; i++) {
        const absent = foreign.replace(/.{24}$/, randomBase62(24));
        // Which of the two comes first is drawn.
        const first = random.uniform(i) < 0.5;
        const before = first ? await took(foreign) : 0;
        const other = await took(absent);
        times.push([first ? before : await took(foreign), other]);
      }
      const median = (at: 0 | 1) => times.map((pair) => pair[at]).sort((a, b) => a - b)[PAIRS / 2]!;
      const slower = times.filter(([one, other]) => one > other).length;
      console.log(
        `${foreign.replace(/-.*/, "")}: medians ${median(0).toFixed(3)} ms of another's, ${median(1).toFixed(3)} ms of none; the first is slower in ${slower} of ${PAIRS} pairs`,
      );
      // Of a fair coin once in 16,000 times.
      expect(Math.abs(slower - PAIRS / 2)).toBeLessThan(2 * Math.sqrt(PAIRS));
    }
  },
  3_600_000,
);
