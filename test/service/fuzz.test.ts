/** A17 and T30: whatever comes in, the answer is one that the OpenAPI document tells of, and never that of a defect. */
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SERVICE_CODES, type ServiceCode } from "../../src/service/domain/service-error.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { ErrorReply } from "../../src/service/http/document.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { keyOf, type Route } from "../../src/service/http/route.ts";
import { compileProgram } from "../crash/compile.ts";
import { WORLD } from "./engine/world.ts";
import { known, knownAddress, type Operation, operationsOf, type Request, requestOf } from "./requests.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { workUpTo } from "./things.ts";

/** At night models answer as well; by day whoever asks for one is told that it does not serve. */
const nightly = process.env.BOOSTER_FUZZ !== undefined;
const REQUESTS = nightly ? Number(process.env.BOOSTER_FUZZ) / 20 : 600;

let server: TestServer;
let engine: ServingEngine;
let program: ReturnType<typeof compileProgram> | undefined;
let operations: Operation[];
let routes: ReadonlyMap<string, Route>;
/** Names of what is there, for requests to meet; what they make is added. */
const ids: string[] = [];
const keys: string[] = [];
const agent = new Agent({ keepAlive: true });

beforeAll(async () => {
  program = nightly ? compileProgram("src/service/engine/child.ts") : undefined;
  const module = program === undefined ? {} : { module: program.path };
  engine = startServing({
    folderOf: async () => (nightly ? WORLD : undefined),
    version: "test",
    threads: 1,
    ...module,
  });
  const experimentChild = compileProgram("src/service/pipeline/experiment-child.ts").path;
  const experiments = join(import.meta.dirname, "../fixtures-0.1");
  server = await startTestServer({
    more: (service) => inferenceRoutes({ service, engine }),
    experiments,
    experimentChild,
  });
  operations = operationsOf(await (await fetch(`${server.url}/openapi.json`)).json());
  routes = new Map(server.routes.map((route) => [keyOf(route), route]));
  const project = await server.store.projects.create({ key: "k", kind: "admin", scopes: [], owner: "o" }, "prey");
  keys.push(server.key, await server.keyFor("worker"), await server.keyFor("reader", server.project));
  keys.push(await server.keyFor("user", project.id), await server.keyFor("owner"), "sk-none");
  const client = server.client();
  const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
  const sha256 = (await server.store.files.get(
    { key: "k", kind: "project", scopes: [], owner: "o", project: server.project },
    file.id,
  ))!.sha256;
  ids.push("world-booster", "world-booster", file.id, project.id, sha256, "train_loss", "default", "experiment");
  for (let i = 0; i < 6; i++) {
    const job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id });
    ids.push(job.id);
    if (i === 0) await client.fineTuning.jobs.pause(job.id);
    if (i < 2) continue;
    const of = { key: "k", kind: "project", scopes: [], owner: "o", project: server.project } as const;
    const stored = (await server.store.jobs.get(of, job.id))!;
    const { epoch } = await workUpTo(server.store, stored, i < 5 ? "decide" : "train");
    if (i === 5) continue;
    const verdict = (["released", "held", "rejected"] as const)[i - 2]!;
    const report = { of: "fuzz" };
    await server.store.leases.finish(
      job.id,
      epoch,
      { end: "done", output: { blobs: {}, facts: {} } },
      { verdict, report, adapter: { a: sha256 } },
    );
    ids.push(stored.publishAs);
  }
  const upload = { bytes: 5, filename: "a", mime_type: "text/jsonl", purpose: "fine-tune" } as const;
  for (let i = 0; i < 3; i++) ids.push((await client.uploads.create(upload)).id);
});
afterAll(async () => {
  agent.destroy();
  await engine?.close();
  await server?.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const STREAMS = "text/event-stream";

const send = (asked: Request): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const body = asked.body === undefined ? undefined : Buffer.from(known(asked.body, ids));
    const sent = request(
      {
        agent,
        host: "127.0.0.1",
        port: new URL(server.url).port,
        method: asked.method,
        path: knownAddress(asked.address, ids),
        headers: {
          ...Object.fromEntries(Object.entries(asked.headers).map(([name, value]) => [name, known(value, ids)])),
          authorization: `Bearer ${keyFor(asked)}`,
          ...(body === undefined ? {} : { "content-length": body.length }),
        },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        const end = () => resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(chunks) });
        // Events of jobs come for ever.
        if (answer.headers["content-type"] === STREAMS && asked.operation.method === "GET") {
          end();
          sent.destroy();
          return;
        }
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("end", end).once("error", reject);
      },
    );
    sent.once("error", reject);
    sent.end(body);
  });

/** Mostly one that may do what is asked. */
function keyFor({ operation, key }: Request): string {
  if (key > 0) return keys[key % keys.length]!;
  return operation.path.startsWith("/internal/") ? keys[1]! : keys[0]!;
}

/** What is wrong with an answer. */
function faultOf({ operation, method }: Request, { status, headers, body }: Answer): string | undefined {
  if (headers["x-request-id"] === undefined) return "it has no request id";
  const type = headers["content-type"]?.split(";")[0];
  if (method === "HEAD") return status >= 500 ? "a defect" : body.length > 0 ? "a body" : undefined;
  if (status !== 200) {
    if (type !== "application/json") return "no JSON";
    const told = ErrorReply.safeParse(JSON.parse(body.toString()));
    if (!told.success) return told.error.message;
    const { code, type: kind } = told.data.error;
    const [right, rightKind] = SERVICE_CODES[code as ServiceCode] ?? [];
    if (right !== status || rightKind !== kind) return "another status or type than its code has";
    return status >= 500 && code !== "engine_restarted" ? "a defect" : undefined;
  }
  const route = routes.get(`${method} ${operation.path}`);
  // `..` may lead to another route, whose form is looked at with its own requests.
  if (route === undefined) return undefined;
  if (type !== "application/json") return route.media?.includes(type ?? "") === true ? undefined : "another media type";
  const reply = JSON.parse(body.toString()) as { readonly id?: unknown };
  if (typeof reply.id === "string" && ids.length < 300) ids.push(reply.id);
  if (route.path === "/openapi.json") return undefined;
  return route.reply.safeParse(reply).error?.message;
}

test(
  `${REQUESTS} requests drawn from the document: no answer of a defect, each of its form`,
  async () => {
    const statuses = new Map<number, number>();
    const drawn = fc.oneof(...operations.map(requestOf));
    await fc.assert(
      fc.asyncProperty(drawn, async (asked) => {
        const answer = await send(asked);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const fault = faultOf(asked, answer);
        if (fault !== undefined) throw new Error(`${fault}: ${answer.status} ${answer.body.toString().slice(0, 500)}`);
      }),
      { numRuns: REQUESTS, seed: Number(process.env.BOOSTER_SEED ?? 1) },
    );
    console.log(
      `answers by status: ${[...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${status}: ${count}`)
        .join(", ")}`,
    );
    // What is drawn reaches what it should: things that are there, and those that are not.
    expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 405, 415]));
    expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 10);
  },
  120_000 + REQUESTS * 1000,
);
