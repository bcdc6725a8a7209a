import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../../errors.ts";
import { RunLock } from "../../train/lock.ts";
import { ServiceError } from "../domain/service-error.ts";
import { Arrivals } from "./arrivals.ts";
import { Audit } from "./audit.ts";
import { Bases } from "./bases.ts";
import { type BlobStore, openBlobs } from "./blobs.ts";
import { Checks } from "./checks.ts";
import type { Context } from "./context.ts";
import type { Database } from "./database.ts";
import { Files } from "./files.ts";
import { JobRecords } from "./job-records.ts";
import { Jobs } from "./jobs.ts";
import { Keys } from "./keys.ts";
import { Leases } from "./lease.ts";
import { migrate } from "./migrations/index.ts";
import { Models } from "./models.ts";
import { Outbox } from "./outbox.ts";
import { Policies } from "./policies.ts";
import { Projects } from "./projects.ts";
import { Reviews } from "./reviews.ts";
import { openSecrets, type Secrets } from "./secrets.ts";
import { Sessions } from "./sessions.ts";
import { Uploads } from "./uploads.ts";
import { Usage } from "./usage.ts";
import { Webhooks } from "./webhooks.ts";
import { Workers } from "./workers.ts";

export interface StoreOptions {
  /** The server's folder: blobs, keys and, without `databaseUrl`, the database. */
  readonly data: string;
  /** PostgreSQL 15 or later; without it the database lies in the folder. */
  readonly databaseUrl?: string | undefined;
  /** An object storage for blobs (`s3://...`, as `placeOf` reads it); without it they lie in the folder. */
  readonly blobs?: string | undefined;
  /** Seconds since 1970; tests let it jump. */
  readonly now?: (() => number) | undefined;
}

/** All that a server keeps. */
export interface Store {
  readonly context: Context;
  readonly folders: ReturnType<typeof layout>;
  readonly keys: Keys;
  readonly sessions: Sessions;
  readonly projects: Projects;
  readonly files: Files;
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  readonly records: JobRecords;
  readonly models: Models;
  readonly policies: Policies;
  readonly reviews: Reviews;
  readonly audit: Audit;
  readonly usage: Usage;
  readonly bases: Bases;
  readonly workers: Workers;
  readonly webhooks: Webhooks;
  readonly outbox: Outbox;
  readonly leases: Leases;
  readonly checks: Checks;
  readonly blobs: BlobStore;
  readonly arrivals: Arrivals;
  readonly secrets: Secrets;
  close(): Promise<void>;
}

/** The folders of `data`. */
export const layout = (data: string) => ({
  db: join(data, "db"),
  lock: join(data, "db.lock"),
  blobs: join(data, "blobs"),
  tmp: join(data, "tmp"),
  keys: join(data, "keys"),
  backups: join(data, "backups"),
});

/**
 * Opens what a server keeps, at this version's schema.
 *
 * @throws {BoosterError} `DATA_IN_USE` where another server has the folder's database open, `database_unavailable`, `SCHEMA_TOO_NEW`, `SCHEMA_DIFFERS`
 * @example
 * const store = await openStore({ data: "data" });
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const folders = layout(options.data);
  mkdirSync(options.data, { recursive: true, mode: 0o700 });
  // The packages of a database are loaded by who opens it: the lock of a used folder is refused at once.
  const lock = options.databaseUrl === undefined ? takeFolder(folders.lock) : undefined;
  try {
    const db =
      options.databaseUrl === undefined
        ? await (await import("./embedded.ts")).openEmbedded(folders.db)
        : (await import("./postgres.ts")).openPostgres(options.databaseUrl);
    return await storeOn(db, options, () => lock?.release());
  } catch (error) {
    lock?.release();
    if (!(error instanceof ServiceError) || error.code !== "database_unavailable") throw error;
    throw new BoosterError("DATABASE_UNAVAILABLE", error.message, error.details);
  }
}

/** The same over a database that is open already. */
export async function storeOn(db: Database, options: StoreOptions, closed: () => void = () => {}): Promise<Store> {
  const folders = layout(options.data);
  const context: Context = { db, now: options.now ?? (() => Math.floor(Date.now() / 1000)) };
  try {
    await migrate(db);
  } catch (error) {
    await db.close();
    throw error;
  }
  const blobs =
    options.blobs === undefined
      ? await openBlobs(folders.blobs, folders.tmp)
      : await (await import("./blobs-s3.ts")).openS3Blobs(options.blobs, folders.tmp);
  const secrets = openSecrets(folders.keys);
  const bases = new Bases(context);
  const keys = new Keys(context);
  return {
    context,
    folders,
    keys,
    sessions: new Sessions(context, keys),
    projects: new Projects(context),
    files: new Files(context),
    uploads: new Uploads(context, blobs),
    jobs: new Jobs(context),
    records: new JobRecords(context),
    models: new Models(context),
    policies: new Policies(context),
    reviews: new Reviews(context, bases),
    audit: new Audit(context, secrets),
    usage: new Usage(context),
    bases,
    workers: new Workers(context),
    webhooks: new Webhooks(context, secrets),
    outbox: new Outbox(context),
    leases: new Leases(context, bases, { blobs, secrets, bases }),
    checks: new Checks(context),
    blobs,
    arrivals: new Arrivals(),
    secrets,
    close: async () => {
      await db.close();
      closed();
    },
  };
}

function takeFolder(path: string): RunLock {
  try {
    return RunLock.acquire(path);
  } catch (error) {
    if (!(error instanceof BoosterError) || error.code !== "RUN_LOCKED") throw error;
    throw new BoosterError("DATA_IN_USE", "another server has this folder's database open", {
      ...error.details,
      hint: "Ask that server, stop it, or give each its own folder; several servers share a PostgreSQL (DATABASE_URL)",
    });
  }
}
