import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { Following } from "../train/index.ts";
import { Keeper } from "./base-keeper.ts";
import { lately } from "./domain/lately.ts";
import { LIMITS } from "./domain/limits.ts";
import { SERVER } from "./domain/principal.ts";
import { startServing } from "./engine/serving.ts";
import type { ServingEngine } from "./engine/types.ts";
import { createApp } from "./http/app.ts";
import { inferenceRoutes } from "./http/inference/index.ts";
import { openLog } from "./http/log.ts";
import { Metrics } from "./http/metrics.ts";
import { Rates } from "./http/rates.ts";
import { baseRoutes } from "./http/routes/bases.ts";
import { routesOf } from "./http/routes/index.ts";
import { type Listening, listen } from "./http/server.ts";
import type { Service } from "./http/service.ts";
import { Streams } from "./http/streams.ts";
import { Experiments } from "./pipeline/experiments.ts";
import { Moderators } from "./pipeline/moderators.ts";
import { repeat } from "./repeat.ts";
import type { ServeOptions } from "./serve-options.ts";
import { folderOf, setUpBase } from "./set-up-base.ts";
import { setUpPolicy, setUpProject, workerToken } from "./setup.ts";
import { Outbox } from "./store/outbox.ts";
import { Presence } from "./store/presence.ts";
import { Reaper } from "./store/reaper.ts";
import { openStore, type Store } from "./store/store.ts";
import { sweep } from "./store/sweep.ts";
import { Turn } from "./store/turns.ts";
import { reachOf } from "./webhooks/address.ts";
import { Deliverer } from "./webhooks/deliver.ts";
import { senderOf } from "./webhooks/send.ts";
import { startWorkers } from "./workers.ts";

const LOOPBACK = ["127.0.0.1", "localhost", "[::1]", "::1"];
/** Seconds between looks at silent workers and at models that were withdrawn elsewhere, and between cleanings. */
const LOOK_SECONDS = 3;
const CLEAN_SECONDS = 600;
/** Between looks at what webhooks are to be told. */
const TELL_SECONDS = 1;
/** Seconds between signed heads of the audit log. */
const SEAL_SECONDS = 3600;
/** How old what `/readyz` tells of database and blobs may be: anybody may ask, as often as they like. */
const READY_SECONDS = 2;
const GB = 2 ** 30;

/** A server that answers. */
export interface RunningServer {
  readonly url: string;
  /** Shown once, at the first start of all. */
  readonly firstKey: string | undefined;
  readonly base: string;
  /** Answers what has begun, gives jobs back, closes everything. */
  stop(): Promise<void>;
}

/** What a server needs beside its options. */
export interface ServeContext extends Following {
  readonly version: string;
  /** The compiled program whose command `worker` workers are. */
  readonly program: string;
  /** How long a worker may be silent; by default as long as `Reaper` says. */
  readonly leaseSeconds?: number;
}

/**
 * Starts the service: database, base, workers, HTTP.
 *
 * @throws {BoosterError} `DATA_IN_USE`, `BIND_REFUSED`, `PORT_IN_USE`, and what opening the store and making the base throw
 */
export async function serve(options: ServeOptions, context: ServeContext): Promise<RunningServer> {
  checkBind(options);
  const { version, program, emit, signal } = context;
  const store = await openStore({
    data: options.data,
    databaseUrl: process.env.DATABASE_URL,
    blobs: options.blobs ?? process.env.BOOSTER_BLOBS,
  });
  const cleanups: (() => Promise<void>)[] = [() => store.close()];
  const stopAll = async (): Promise<void> => {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  };
  try {
    const log = openLog(options.logLevel ?? (process.stderr.isTTY ? "warn" : "info"));
    const draining = new AbortController();
    if (!isLoopback(options.host) && !(await store.keys.any())) {
      throw new BoosterError("BIND_REFUSED", "a server that others can reach must have keys before it starts", {
        hint: "Start it once on loopback, keep the key that it prints, then start it like this",
      });
    }
    emit?.({ type: "work", text: "preparing policy and base", preparing: true });
    const policy = await setUpPolicy(store, options.policy);
    const bases = join(options.data, "bases");
    const base = await setUpBase(store, bases, options.base, {
      ...(emit === undefined ? {} : { emit }),
      ...(signal === undefined ? {} : { signal }),
    });
    const engine = startServing({
      folderOf: (name) => folderOf(store, bases, name),
      version,
      memory: options.servingMemory === undefined ? undefined : options.servingMemory * GB,
      withdrawnOf: (models) =>
        store.models.ended(models).catch((error: unknown) => {
          log.error({ err: error }, "it is not known whether models were withdrawn");
          return [];
        }),
      onBroken: (model) => {
        store.models.withdraw(SERVER, model, "it computes no numbers").catch((error: unknown) => {
          log.error({ err: error }, "a broken model was not withdrawn");
        });
      },
      onCrash: (name, how) => log.error({ base: name, how }, "a base is not served any more, or cannot be"),
    });
    cleanups.push(() => engine.close());
    // Whoever asks first need not wait; how it fails is logged.
    engine.base(base.name).catch(() => undefined);
    const moderators = new Moderators();
    const experiments = new Experiments(options.experiments);
    for (const one of [moderators, experiments]) cleanups.push(async () => one.close());
    const metrics = new Metrics();
    const service: Service = {
      keys: store.keys,
      sessions: store.sessions,
      projects: store.projects,
      organisation: (await store.projects.org()).id,
      hosts: hostsOf(options),
      log,
      metrics,
      streams: new Streams(metrics),
      rates: new Rates(),
      version,
      draining: draining.signal,
      store,
      jobThreads: options.threads ?? Math.max(1, Math.floor(availableParallelism() / (options.workers + 1))),
      parts: partsOf(store, engine, base.name, draining.signal),
      withdraw: (model) => engine.withdraw(model),
      experiments,
      webhooks: senderOf({ reach: reachOf(options.webhookInside), version, now: store.context.now }),
      moderators,
    };
    const keeper = new Keeper({ store, folder: bases, threads: service.jobThreads, log });
    cleanups.push(() => keeper.stop());
    service.metrics.followEngine(() => engine.status());
    service.metrics.followJobs(
      () => store.jobs.counts(),
      () => store.jobs.heldFor(),
    );
    const listening = await listenOn(
      createApp(service, [
        ...routesOf(service),
        ...inferenceRoutes({ service, engine }),
        ...baseRoutes(store, engine, keeper),
      ]),
      options,
    );
    cleanups.push(() => listening.close(LIMITS.shutdownSeconds));
    const url = urlOf(options, listening.port);
    const reaper = new Reaper(store.context, undefined, context.leaseSeconds);
    const presence = new Presence(store.context);
    const deliverer = new Deliverer({
      outbox: store.outbox,
      webhooks: store.webhooks,
      turn: new Turn(store.context, Outbox.TURN),
      sender: service.webhooks,
      onTry: (outcome) => service.metrics.webhooks.inc({ outcome }),
      onError: (error) => log.error({ err: error }, "a webhook was not told"),
    });
    const loops = [
      repeat(LOOK_SECONDS, log, async () => service.metrics.leasesReaped.inc((await reaper.look()).length)),
      repeat(LOOK_SECONDS, log, async () => service.rates.divide(await presence.look())),
      repeat(CLEAN_SECONDS, log, async () => {
        await store.reviews.expire();
        await sweep(store);
      }),
      repeat(TELL_SECONDS, log, () => deliverer.look()),
      repeat(SEAL_SECONDS, log, () => store.audit.seal()),
    ];
    cleanups.push(async () => {
      for (const loop of loops) await loop.stop();
      await deliverer.stop();
      // Without a word the others find out by themselves, after a while.
      await presence.end().catch(() => undefined);
    });
    if (options.workers > 0) {
      const token = await workerToken(store, join(options.data, "keys"));
      const scratch = join(options.data, "scratch");
      const own = [
        "--server",
        url,
        "--token-file",
        token,
        "--scratch",
        scratch,
        "--threads",
        String(service.jobThreads),
      ];
      const workers = startWorkers(options.workers, [program, "worker", ...own], log);
      cleanups.push(() => workers.stop(LIMITS.shutdownSeconds));
    }
    // Last: a key that was shown must belong to a server that runs.
    const { firstKey } = await setUpProject(store, policy);
    return {
      url,
      firstKey,
      base: base.name,
      stop: async () => {
        draining.abort();
        await stopAll();
      },
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

const isLoopback = (host: string): boolean => LOOPBACK.includes(host);

/** @throws {BoosterError} `BIND_REFUSED` */
function checkBind({ host, iHaveTls, tlsCert, tlsKey }: ServeOptions): void {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new BoosterError("OPTIONS_CONFLICT", "a certificate and its key belong together", {
      expected: "tlsCert and tlsKey",
    });
  }
  if (isLoopback(host) || iHaveTls || tlsCert !== undefined) return;
  throw new BoosterError("BIND_REFUSED", "keys and texts would go over the network unencrypted", {
    found: host,
    hint: "Put a proxy with TLS before the server and say --i-have-tls, or give --tls-cert and --tls-key",
  });
}

/** Names under which the server answers. */
function hostsOf({ host, publicUrl }: ServeOptions): string[] {
  const own = ["0.0.0.0", "::"].includes(host) ? [] : [host];
  return [...LOOPBACK, ...own, ...(publicUrl === undefined ? [] : [new URL(publicUrl).hostname])].map((name) =>
    name.toLowerCase(),
  );
}

function urlOf({ host, tlsCert }: ServeOptions, port: number): string {
  const name = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host;
  return `${tlsCert === undefined ? "http" : "https"}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

async function listenOn(app: ReturnType<typeof createApp>, options: ServeOptions): Promise<Listening> {
  const { host, port, tlsCert, tlsKey } = options;
  const tls =
    tlsCert === undefined || tlsKey === undefined
      ? undefined
      : { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
  try {
    return await listen(app, host, port, tls);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "EADDRINUSE" && code !== "EACCES" && code !== "EADDRNOTAVAIL") throw cause;
    throw new BoosterError("PORT_IN_USE", "the server cannot listen there", {
      found: `${code} on ${host}:${port}`,
      hint: "Choose another --port",
      cause,
    });
  }
}

/** What `/readyz` asks. */
const partsOf = (store: Store, engine: ServingEngine, first: string, draining: AbortSignal): Service["parts"] => ({
  server: async () => (draining.aborted ? "it is about to stop" : undefined),
  database: lately(READY_SECONDS, async () => {
    const late = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), 1000).unref());
    const asked = store.keys.any().then(
      () => undefined,
      () => "it does not answer",
    );
    return (await Promise.race([asked, late])) === undefined ? undefined : "it does not answer within a second";
  }),
  engine: async () => {
    const states = Object.entries(engine.status()).filter(([, { state }]) => state !== "ready");
    const told = states.map(([name, { state }]) => `${name}: ${state}`).join(", ");
    // Another base that is being loaded, or cannot be, is no reason to send requests elsewhere.
    const isBroken = states.some(([name, { state }]) => name === first && state !== "leaving");
    return told === "" || isBroken ? told || undefined : { note: told };
  },
  blobs: lately(READY_SECONDS, async () => {
    // What the database does not tell is its own part's to say.
    const base = await store.bases.get(first).catch(() => undefined);
    const [sha256] = Object.values(base?.files ?? {});
    try {
      await store.blobs.put(new TextEncoder().encode("ready"));
      // One of them tells that this is another database's folder.
      if (sha256 !== undefined && (await store.blobs.has(sha256)) === undefined) return `files of ${first} are missing`;
      return undefined;
    } catch {
      return "nothing can be written there";
    }
  }),
});
