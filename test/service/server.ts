/** A server for tests: the real routes on a real socket, over a store of its own. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import OpenAI from "openai";
import { PRESETS, type Preset, SERVER } from "../../src/service/domain/principal.ts";
import { createApp } from "../../src/service/http/app.ts";
import { openLog } from "../../src/service/http/log.ts";
import { Metrics } from "../../src/service/http/metrics.ts";
import { Rates } from "../../src/service/http/rates.ts";
import type { Route } from "../../src/service/http/route.ts";
import { routesOf } from "../../src/service/http/routes/index.ts";
import { listen } from "../../src/service/http/server.ts";
import type { Service } from "../../src/service/http/service.ts";
import { Streams } from "../../src/service/http/streams.ts";
import { Experiments } from "../../src/service/pipeline/experiments.ts";
import { Moderators } from "../../src/service/pipeline/moderators.ts";
import { setUpPolicy, setUpProject } from "../../src/service/setup.ts";
import { type Store, storeOn } from "../../src/service/store/store.ts";
import { reachOf } from "../../src/service/webhooks/address.ts";
import { senderOf } from "../../src/service/webhooks/send.ts";
import { openEmptyEmbedded } from "./databases.ts";
import { WORLD } from "./engine/world.ts";

export interface TestServer {
  readonly url: string;
  readonly store: Store;
  readonly service: Service;
  readonly routes: readonly Route[];
  readonly project: string;
  /** May do everything in the project `default`. */
  readonly key: string;
  /** Lines of the log so far. */
  readonly log: () => string;
  /** A key with a preset's scopes; in a project, or of the whole server. */
  keyFor(preset: Preset, project?: string): Promise<string>;
  client(key?: string): OpenAI;
  stop(): Promise<void>;
}

interface TestOptions {
  /** The limits of a server; tests have none otherwise. */
  readonly limited?: boolean;
  readonly more?: (service: Service) => readonly Route[];
  /** One that several servers share; else one of its own. */
  readonly store?: Store;
  /** Folder of the built application for people. */
  readonly dashboard?: string;
  /** Folder of experiments. */
  readonly experiments?: string;
  /** Compiled `experiment-child.ts`, where reports are drawn. */
  readonly experimentChild?: string;
  /** Compiled `moderator-child.ts`, where a policy's moderator is a model. */
  readonly moderatorChild?: string;
}

export async function startTestServer(options: TestOptions = {}): Promise<TestServer> {
  const data = mkdtempSync(join(tmpdir(), "booster-http-"));
  const store = options.store ?? (await storeOn(await openEmptyEmbedded(), { data }));
  const lines: string[] = [];
  const to = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const draining = new AbortController();
  const moderators = new Moderators(options.moderatorChild);
  const experiments = new Experiments(options.experiments, options.experimentChild);
  const metrics = new Metrics();
  const service: Service = {
    keys: store.keys,
    sessions: store.sessions,
    projects: store.projects,
    organisation: (await store.projects.org()).id,
    hosts: ["127.0.0.1"],
    log: openLog("debug", to),
    metrics,
    streams: new Streams(metrics),
    rates: options.limited === true ? new Rates() : unlimited(),
    version: "0.0.0",
    draining: draining.signal,
    store,
    jobThreads: 1,
    parts: {},
    withdraw: () => undefined,
    experiments,
    webhooks: senderOf({ reach: reachOf(["127.0.0.1"]), version: "0.0.0", now: store.context.now }),
    moderators,
  };
  const identity = createHash("sha256").update("base").digest("hex");
  await store.bases.add(SERVER, { name: "world-booster", identity, files: await baseFiles(store), facts: {} });
  const { project, firstKey } = await setUpProject(store, await setUpPolicy(store));
  const more = options.more?.(service) ?? [];
  const routes = [...routesOf(service), ...more];
  const listening = await listen(createApp(service, routes, options.dashboard), "127.0.0.1", 0);
  const url = `http://127.0.0.1:${listening.port}`;
  return {
    url,
    store,
    service,
    routes,
    project,
    key: firstKey!,
    log: () => lines.join(""),
    keyFor: async (preset, of) => {
      const kind = preset === "worker" ? "worker" : of === undefined ? "admin" : "project";
      const wanted = { kind, project: of, name: preset, scopes: PRESETS[preset], owner: preset } as const;
      return (await store.keys.create(SERVER, wanted)).presented;
    },
    client: (key = firstKey!) => new OpenAI({ apiKey: key, adminAPIKey: key, baseURL: `${url}/v1` }),
    stop: async () => {
      draining.abort();
      await listening.close(5);
      moderators.close();
      experiments.close();
      await store.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** All of the bundled base but its weights: requests are answered, and nothing is trained on it. */
async function baseFiles({ blobs }: Store): Promise<Record<string, string>> {
  const adapter = { learningRate: 1e-4, loraRank: 8, loraAlpha: 16 };
  const card = { version: 1, name: "world-booster", alignment: null, template: "alpaca", ...adapter };
  const files: Record<string, string> = { "base.json": (await blobs.put(Buffer.from(JSON.stringify(card)))).sha256 };
  for (const name of readdirSync(WORLD).filter((file) => file.endsWith(".json"))) {
    files[name] = (await blobs.put(readFileSync(join(WORLD, name)))).sha256;
  }
  return files;
}

/** Rates by a clock that runs so fast that nothing is ever used up. */
function unlimited(): Rates {
  let now = 0;
  return new Rates(() => {
    now += 60_000;
    return now;
  });
}

/** Rows that a job can be trained on. */
export const rowsFile = (rows = 12, name = "train.jsonl"): File =>
  new File(
    Array.from(
      { length: rows },
      (_, i) =>
        `${JSON.stringify({
          messages: [
            { role: "user", content: `what is ${i}` },
            { role: "assistant", content: `it is ${i}` },
          ],
        })}\n`,
    ),
    name,
  );
