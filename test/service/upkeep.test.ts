import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { backup, COUNTED, restore, TABLES } from "../../src/service/store/backup.ts";
import { openBlobs } from "../../src/service/store/blobs.ts";
import type { Database } from "../../src/service/store/database.ts";
import { MIGRATIONS, migrate } from "../../src/service/store/migrations/index.ts";
import { openPostgres } from "../../src/service/store/postgres.ts";
import { isSignedBy, openSecrets } from "../../src/service/store/secrets.ts";
import { openStore, type Store, storeOn } from "../../src/service/store/store.ts";
import { sweep } from "../../src/service/store/sweep.ts";
import { onBothDatabases, openEmptyEmbedded } from "./databases.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";
import { addBase, claimJob, done, newJob, newTenant, verdict, workUpTo } from "./things.ts";

const folder = (): string => mkdtempSync(join(tmpdir(), "booster-upkeep-"));
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = async (parts: AsyncIterable<Uint8Array>): Promise<string> => {
  const all = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all).toString();
};

describe("blobs in a folder", () => {
  test("are found by their hash, whole or in part, and stored once", async () => {
    const at = folder();
    const blobs = await openBlobs(join(at, "blobs"), join(at, "tmp"));
    const a = await blobs.put(bytes("hello "));
    const b = await blobs.put(
      (async function* () {
        yield bytes("wor");
        yield bytes("ld");
      })(),
    );
    expect(await blobs.put(bytes("world"))).toEqual(b);
    const joined = await blobs.join([a.sha256, b.sha256]);
    await joined.keep();
    const both = joined.stored;
    expect(await textOf(await blobs.open(both.sha256))).toBe("hello world");
    expect(await textOf(await blobs.open(both.sha256, { start: 4, end: 6 }))).toBe("o w");
    expect(both).toMatchObject({ bytes: 11, md5: "5eb63bbbe01eeed093cb22bb8f5acdc3" });
    expect(await blobs.has(a.sha256)).toBe(6);
    await blobs.remove(a.sha256);
    expect(await blobs.has(a.sha256)).toBeUndefined();
    await expect(blobs.open(a.sha256)).rejects.toThrow("not in the store");
    for (const name of ["../x", "", "A".repeat(64), `${"a".repeat(63)}/`]) {
      await expect(blobs.path(name)).rejects.toThrow("no name of a blob");
    }
    expect(readdirSync(join(at, "tmp"))).toEqual([]);
  });

  test("that do not fit on the disk are refused, and leave the room to others", async (context) => {
    const at = folder();
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", at], { stdio: "pipe" });
    } catch (error) {
      console.log(`skipped: a small disk cannot be mounted here (${(error as Error).message.trim()})`);
      return context.skip();
    }
    try {
      const blobs = await openBlobs(join(at, "blobs"), join(at, "tmp"));
      const part = new Uint8Array(300_000);
      const large = (async function* () {
        for (let i = 0; i < 9; i++) yield part;
      })();
      await expect(blobs.put(large)).rejects.toMatchObject({ code: "disk_full", details: { retryAfter: 30 } });
      const { sha256 } = await blobs.put(part);
      expect(await blobs.has(sha256)).toBe(300_000);
    } finally {
      execFileSync("umount", [at]);
    }
  });

  test("that break off leave nothing", async () => {
    const at = folder();
    const blobs = await openBlobs(join(at, "blobs"), join(at, "tmp"));
    const breaking = (async function* () {
      yield bytes("half");
      throw new Error("the sender is gone");
    })();
    await expect(blobs.put(breaking)).rejects.toThrow("the sender is gone");
    expect([...readdirSync(join(at, "tmp")), ...readdirSync(join(at, "blobs/sha256"))]).toEqual([]);
  });
});

describe("the server's keys", () => {
  test("are made once, for their owner alone; what was sealed opens, unless a bit of it was changed", () => {
    const at = folder();
    const [first, second] = [openSecrets(at), openSecrets(at)];
    expect(second.publicKey).toBe(first.publicKey);
    expect(isSignedBy(first.publicKey, "text", second.sign("text"))).toBe(true);
    expect(isSignedBy(first.publicKey, "texts", second.sign("text"))).toBe(false);
    const sealed = first.seal(bytes("an answer"));
    expect(Buffer.from(second.unseal(sealed)).toString()).toBe("an answer");
    for (let i = 0; i < sealed.length; i++) {
      const changed = Uint8Array.from(sealed);
      changed[i] = changed[i]! ^ 1;
      expect(() => first.unseal(changed)).toThrow("cannot be read");
    }
    for (const name of readdirSync(at)) expect(statSync(join(at, name)).mode & 0o777).toBe(0o600);
  });
});

/** The rows of another database, as far as this one's schema has room for them. */
async function fill(to: Database, from: Database): Promise<void> {
  const rowsOf = async (sql: string) => (await from.query<{ row: unknown }>(sql)).map(({ row }) => row);
  for (const [table] of [...TABLES, ["audit_head"] as const]) {
    const [{ there } = { there: null }] = await to.query<{ there: unknown }>(`select to_regclass('${table}') as there`);
    if (there === null) continue;
    const rows = JSON.stringify(await rowsOf(`select to_jsonb(t) as row from ${table} t`));
    if (table === "audit_head") await to.query("delete from audit_head");
    await to.query(
      `insert into ${table} overriding system value select * from jsonb_populate_recordset(null::${table}, $1::jsonb)`,
      [rows],
    );
  }
  for (const table of COUNTED) {
    const sequence = `pg_get_serial_sequence('${table}', 'seq')`;
    const [{ there } = { there: null }] = await to.query<{ there: unknown }>(`select to_regclass('${table}') as there`);
    if (there !== null) await to.query(`select setval(${sequence}, greatest((select max(seq) from ${table}), 1))`);
  }
}

onBothDatabases("upkeep", (kept) => {
  const store = () => kept().store;
  beforeAll(async () => {
    await addBase(store());
  });

  test("a backup of many rows leaves others their turn, and one for which the disk has no room ends alone", async () => {
    const job = await store().jobs.create(await newTenant(store()), newJob());
    const { db } = store().context;
    await db.query(
      `insert into job_metrics (job_id, step, metrics)
       select $1, step, '{"train_loss": 1}'::jsonb from generate_series(1, 8000) as step`,
      [job.id],
    );
    const at = folder();
    let turns = 0;
    const others = setInterval(() => turns++, 1);
    await backup(store(), join(at, "backup"));
    clearInterval(others);
    const written = readFileSync(join(at, "backup/database.jsonl"), "utf8").matchAll(/"step": ?(\d+)/g);
    expect(new Set(Array.from(written, ([, step]) => step)).size).toBeGreaterThanOrEqual(8000);
    // It comes in more than 16 pages.
    expect(turns).toBeGreaterThan(10);
    const small = folder();
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", small], { stdio: "pipe" });
    } catch (error) {
      console.log(`left out: a small disk cannot be mounted here (${(error as Error).message.trim()})`);
    }
    if (statSync(small).dev !== statSync(at).dev) {
      try {
        await expect(backup(store(), join(small, "backup"))).rejects.toMatchObject({ code: "ENOSPC" });
        // It does not keep the disk full.
        expect(readdirSync(small)).toEqual([]);
      } finally {
        execFileSync("umount", [small]);
      }
    }
    await db.query("delete from job_metrics where job_id = $1", [job.id]);
  });

  test("the audit log grows and is nothing but itself", async () => {
    const { audit, context } = store();
    const sql = context.db;
    for (let i = 0; i < 5; i++) await audit.note(SERVER, "texts.viewed", { i });
    await audit.seal();
    await audit.seal();
    for (let i = 0; i < 5; i++) await audit.note(SERVER, "texts.viewed", { i });
    await store().policies.set(SERVER, "default", { a: 1 });
    for (const table of ["audit", "audit_seals", "policies"]) {
      for (const statement of [`update ${table} set sha256 = 'x'`, `delete from ${table}`, `truncate ${table}`]) {
        const fitting = table === "policies" ? statement : statement.replace("sha256", "hash");
        await expect(sql.query(fitting)).rejects.toThrow(`the table ${table} only grows`);
      }
    }
    const { entries } = await audit.verify();
    expect(await audit.verify()).toEqual({ entries, seals: 1 });
    // As the owner of the database could, who can drop triggers.
    await sql.query("alter table audit disable trigger all");
    const [row] = await sql.query<{ data: unknown }>("select data from audit where seq = 3");
    await sql.query("update audit set data = '{\"i\": 99}' where seq = 3");
    expect(await audit.verify()).toMatchObject({ fault: "entry 3 was changed" });
    await sql.query("update audit set data = $1::jsonb where seq = 3", [JSON.stringify(row?.data)]);
    expect(await audit.verify()).toEqual({ entries, seals: 1 });
    const cut = await sql.query<{ seq: number; hash: string }>("select seq, hash from audit where seq = 2");
    await sql.query("create table aside as select * from audit where seq > 2");
    await sql.query("delete from audit where seq > 2");
    await sql.query("update audit_head set seq = 2, hash = $1", [cut[0]?.hash]);
    expect((await audit.verify()).fault).toMatch(/^entries up to \d+ are missing$/);
    await sql.query("insert into audit select * from aside");
    await sql.query("update audit_head set seq = $1, hash = (select hash from audit where seq = $1)", [entries]);
    await sql.query("alter table audit enable trigger all");
    expect(await audit.verify()).toEqual({ entries, seals: 1 });
  });

  test("sweeping leaves what was stored again after it was listed as old", async () => {
    const { blobs } = store();
    const { sha256 } = await blobs.put(bytes("stored again, its row is on the way"));
    const listed = async function* () {
      yield { sha256, age: 1e9 };
    };
    expect(await sweep({ ...store(), blobs: { ...blobs, list: listed } })).toMatchObject({ blobs: 0 });
    expect(await blobs.has(sha256)).toBeDefined();
    utimesSync(await blobs.path(sha256), 1, 1);
    expect(await sweep({ ...store(), blobs: { ...blobs, list: listed } })).toMatchObject({ blobs: 1 });
  });

  test("sweeping takes what is old and named by nothing", async () => {
    const tenant = await newTenant(store());
    const { blobs } = store();
    const put = async (text: string, old = true) => {
      const { sha256, bytes: size } = await blobs.put(bytes(`${text} ${tenant.project}`));
      if (old) utimesSync(await blobs.path(sha256), 1, 1);
      return { sha256, bytes: size, filename: "a", purpose: "fine-tune" };
    };
    const [file, gone, lost] = [await put("file"), await put("deleted"), await put("named by nothing")];
    const young = await put("young", false);
    const [checkpoint, output] = [await put("checkpoint"), await put("output")];
    await store().files.create(tenant, file);
    await store().files.delete(tenant, (await store().files.create(tenant, gone)).id);
    const job = await store().jobs.create(tenant, newJob());
    const claim = await workUpTo(store(), job, "train");
    const about = { step: 1, epochEnd: false, files: { a: checkpoint.sha256 }, metrics: {} };
    await store().leases.checkpoint(job.id, claim.epoch, about);
    const put1 = { end: "done", output: { blobs: { x: output.sha256 }, facts: {} } } as const;
    await store().leases.finish(job.id, claim.epoch, put1);
    writeFileSync(join(store().folders.tmp, "half"), "x");
    utimesSync(join(store().folders.tmp, "half"), 1, 1);
    expect(await sweep(store())).toEqual({ blobs: 2, unfinished: 1 });
    const there = async (...of: { readonly sha256: string }[]) =>
      Promise.all(of.map(async ({ sha256 }) => (await blobs.has(sha256)) !== undefined));
    expect(await there(file, gone, lost, young, checkpoint, output)).toEqual([true, false, false, true, true, true]);
    await store().jobs.cancel(tenant, job.id);
    expect(await sweep(store())).toEqual({ blobs: 2, unfinished: 0 });
    expect(await there(file, young, checkpoint, output)).toEqual([true, true, false, false]);
  });

  test("a backup makes the same store again, in either database", async () => {
    const tenant = await newTenant(store());
    const content = await store().blobs.put(bytes(`rows ${tenant.project}`));
    // Characters that end lines elsewhere.
    const filename = "a\u2028b\u2029c\u0085.jsonl";
    const file = await store().files.create(tenant, { ...content, filename, purpose: "fine-tune" });
    const released = await store().jobs.create(tenant, newJob());
    const last = await workUpTo(store(), released, "decide");
    await store().leases.finish(released.id, last.epoch, done, verdict("released"));
    const working = await store().jobs.create(tenant, newJob());
    await claimJob(store(), working);
    await store().audit.seal();
    const tables = await store().context.db.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public' and table_name not in ('migrations', 'audit_head', 'sessions', 'aside')",
    );
    expect(tables.map(({ name }) => name).sort()).toEqual(TABLES.map(([name]) => name as string).sort());
    const at = folder();
    await backup(store(), join(at, "backup"));
    await expect(backup(store(), join(at, "backup"))).rejects.toThrow("holds something already");
    const cluster = whyNoPostgres === undefined && kept().cluster === undefined ? await startPostgres() : undefined;
    const options = { data: join(at, "data"), databaseUrl: cluster?.url, now: () => kept().time };
    if (cluster !== undefined) {
      const path = join(at, "backup/database.jsonl");
      const whole = readFileSync(path, "utf8");
      writeFileSync(path, whole.slice(0, whole.indexOf('{"table":"audit"')));
      await expect(restore(join(at, "backup"), { ...options, data: join(at, "cut") })).rejects.toThrow(
        "it was cut off",
      );
      writeFileSync(path, whole);
    }
    await restore(join(at, "backup"), options);
    await expect(restore(join(at, "backup"), options)).rejects.toThrow("holds something already");
    const again = await openStore(options);
    try {
      expect(await again.audit.verify()).toEqual(await store().audit.verify());
      expect(await again.files.list(tenant, { limit: 9 })).toEqual(await store().files.list(tenant, { limit: 9 }));
      expect(await textOf(await again.blobs.open(file.sha256))).toBe(`rows ${tenant.project}`);
      expect(await again.jobs.get(tenant, released.id)).toEqual(await store().jobs.get(tenant, released.id));
      expect(await again.reviews.report(tenant, released.id)).toEqual(
        await store().reviews.report(tenant, released.id),
      );
      const all = { limit: 99 } as const;
      expect(await again.records.events(tenant, released.id, all)).toEqual(
        await store().records.events(tenant, released.id, all),
      );
      expect(await again.jobs.get(tenant, working.id)).toMatchObject({
        worker: null,
        epoch: 2,
        status: "validating_files",
      });
      const next = await again.jobs.create(tenant, newJob());
      expect(next.seq).toBeGreaterThan(working.seq);
    } finally {
      await again.close();
      await cluster?.stop();
      rmSync(at, { recursive: true });
    }
  });

  test("a backup names what rows need and the store has not, or not any more as it was, and keeps the rest", async () => {
    const tenant = await newTenant(store());
    const stored = async (text: string) => store().blobs.put(bytes(`${text} ${tenant.project}`));
    const about = { filename: "a.jsonl", purpose: "fine-tune" };
    const [there, gone, bad] = [await stored("there"), await stored("gone"), await stored("damaged")];
    const [, missing, damaged] = [
      await store().files.create(tenant, { ...there, ...about }),
      await store().files.create(tenant, { ...gone, ...about }),
      await store().files.create(tenant, { ...bad, ...about }),
    ];
    await store().blobs.remove(gone.sha256);
    writeFileSync(await store().blobs.path(bad.sha256), "damaged");
    const at = folder();
    const { blobs, lost } = await backup(store(), join(at, "backup"));
    // What other tests name was never stored.
    const mine = lost.filter(({ of }) => of === "file");
    expect(mine.sort((a) => (a.id === missing.id ? -1 : 1))).toEqual([
      { of: "file", id: missing.id, sha256: gone.sha256, how: "missing" },
      { of: "file", id: damaged.id, sha256: bad.sha256, how: "damaged" },
    ]);
    const copies = await openBlobs(join(at, "backup/blobs"), join(at, "tmp"));
    expect(await copies.has(there.sha256)).toBe(there.bytes);
    let count = 0;
    for await (const _ of copies.list()) count++;
    expect(blobs).toBe(count);
    for (const { id } of mine) await store().files.delete(tenant, id);
    rmSync(at, { recursive: true });
  });

  test("A18: every older schema is taken over with all that is in it, and one that is newer is refused by its number", async () => {
    const tenant = await newTenant(store());
    const released = await store().jobs.create(tenant, newJob());
    const last = await workUpTo(store(), released, "decide");
    await store().leases.checkpoint(released.id, last.epoch, { step: 1, epochEnd: true, files: {}, metrics: {} });
    await store().leases.finish(released.id, last.epoch, done, verdict("released"));
    const { cluster } = kept();
    if (cluster !== undefined) await store().context.db.query("create database older");
    const old =
      cluster === undefined ? await openEmptyEmbedded() : openPostgres(cluster.url.replace(/postgres$/, "older"));
    const at = folder();
    for (let version = 1; version < MIGRATIONS.length; version++) {
      await old.query("drop schema public cascade");
      await old.query("create schema public");
      await migrate(old, MIGRATIONS.slice(0, version));
      await fill(old, store().context.db);
      const again = await storeOn(old, { data: at });
      const all = { limit: 99 } as const;
      for (const look of [
        (from: Store) => from.jobs.list(tenant, all),
        (from: Store) => from.records.events(tenant, released.id, all),
        (from: Store) => from.records.checkpoints(tenant, released.id, all),
        (from: Store) => from.reviews.report(tenant, released.id),
        (from: Store) => from.models.list(tenant, all),
        (from: Store) => from.audit.list(SERVER, all),
      ]) {
        expect(await look(again)).toEqual(await look(store()));
      }
      expect((await again.jobs.create(tenant, newJob())).seq).toBeGreaterThan(released.seq);
      await expect(migrate(old, MIGRATIONS.slice(0, version))).rejects.toMatchObject({
        code: "SCHEMA_TOO_NEW",
        details: { found: expect.stringContaining(`${MIGRATIONS.length}`) },
      });
    }
    await old.close();
    rmSync(at, { recursive: true });
  });

  test("a damaged backup is refused", async () => {
    const at = folder();
    await backup(store(), join(at, "backup"));
    const path = join(at, "backup/database.jsonl");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"migrations":\d+/, '"migrations":9'));
    const cluster = kept().cluster;
    if (cluster === undefined) {
      await expect(restore(join(at, "backup"), { data: join(at, "data") })).rejects.toThrow("it is of schema 9");
    } else {
      const filled = { data: join(at, "data"), databaseUrl: cluster.url };
      await expect(restore(join(at, "backup"), filled)).rejects.toThrow("empty database only");
    }
  });
});
