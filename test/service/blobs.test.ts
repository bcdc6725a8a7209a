/** What every store of blobs must do, a folder or an object storage; and what an object storage must bear: real servers of the protocol behind a proxy that spoils requests. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { backup, restore } from "../../src/service/store/backup.ts";
import type { BlobStore } from "../../src/service/store/blobs.ts";
import { openBlobs } from "../../src/service/store/blobs.ts";
import { openS3Blobs } from "../../src/service/store/blobs-s3.ts";
import { placeOf } from "../../src/service/store/s3.ts";
import { openStore, storeOn } from "../../src/service/store/store.ts";
import { sweep } from "../../src/service/store/sweep.ts";
import { openEmptyEmbedded } from "./databases.ts";
import { type FaultyProxy, startFaultyProxy } from "./faulty-proxy.ts";
import { SECRET, STORAGES, type Storage, type StorageName, startStorage } from "./storages.ts";
import { addBase, done, newJob, newTenant, verdict, workUpTo } from "./things.ts";

const PART = 5 * 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "booster-blobs-"));
const storages = new Map<StorageName, { readonly storage: Storage; readonly proxy: FaultyProxy }>();

beforeAll(async () => {
  for (const name of Object.keys(STORAGES) as StorageName[]) {
    if (STORAGES[name] !== undefined) continue;
    const storage = await startStorage(name);
    storages.set(name, { storage, proxy: await startFaultyProxy(storage.port) });
  }
});
afterAll(async () => {
  for (const { storage, proxy } of storages.values()) {
    await proxy.close();
    storage.stop();
  }
  rmSync(folder, { recursive: true });
});

const addressOf = (on: StorageName, prefix: string): string =>
  `s3://bucket/${prefix}?endpoint=http://127.0.0.1:${storages.get(on)!.proxy.port}`;
const openFaulty = (on: StorageName, name: string, silent = 60_000) =>
  openS3Blobs(addressOf(on, name), join(folder, `tmp-${on}-${name}`), {
    partBytes: PART,
    times: { firstWait: 1, silent },
  });

const bytes = (text: string) => new TextEncoder().encode(text);
const sha256 = (data: Uint8Array | string) => createHash("sha256").update(data).digest("hex");
async function read(
  blobs: BlobStore,
  name: string,
  range?: { readonly start: number; readonly end: number },
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of await blobs.open(name, range)) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

const names = Object.keys(STORAGES) as StorageName[];
for (const kind of ["a folder", ...names] as const) {
  describe.skipIf(kind !== "a folder" && STORAGES[kind] !== undefined)(`blobs in ${kind}`, () => {
    let blobs: BlobStore;
    const tmp = join(folder, kind === "a folder" ? "tmp" : `tmp-${kind}-conformance`);
    beforeAll(async () => {
      blobs = kind === "a folder" ? await openBlobs(join(folder, "blobs"), tmp) : await openFaulty(kind, "conformance");
    });

    test("what is put is found by its hash, whole and in part, put once or twice", async () => {
      for (const text of ["", "a", "hello world"]) {
        const stored = await blobs.put(bytes(text));
        expect(stored).toEqual({
          sha256: sha256(text),
          bytes: text.length,
          md5: createHash("md5").update(text).digest("hex"),
        });
        expect(await blobs.put(bytes(text))).toEqual(stored);
        expect(await blobs.has(stored.sha256)).toBe(text.length);
        expect((await read(blobs, stored.sha256)).toString()).toBe(text);
      }
      const hello = sha256("hello world");
      expect((await read(blobs, hello, { start: 4, end: 6 })).toString()).toBe("o w");
      expect((await read(blobs, hello, { start: 6, end: 999 })).toString()).toBe("world");
      expect(readFileSync(await blobs.path(hello), "utf8")).toBe("hello world");
    });

    test("large ones come as a stream, and several become one", async () => {
      const parts = Array.from({ length: 12 }, () => randomBytes(1_000_003));
      const whole = Buffer.concat(parts);
      const stored = await blobs.put(
        (async function* () {
          yield* parts;
        })(),
      );
      expect(stored).toMatchObject({ sha256: sha256(whole), bytes: whole.length });
      expect((await read(blobs, stored.sha256)).equals(whole)).toBe(true);
      expect(
        (await read(blobs, stored.sha256, { start: PART - 2, end: PART + 1 })).equals(
          whole.subarray(PART - 2, PART + 2),
        ),
      ).toBe(true);
      const names = [];
      for (const part of parts.slice(0, 3)) names.push((await blobs.put(part)).sha256);
      const joined = await blobs.join(names);
      expect(joined.stored).toMatchObject({ sha256: sha256(Buffer.concat(parts.slice(0, 3))) });
      await joined.drop();
      expect(await blobs.has(joined.stored.sha256)).toBeUndefined();
    });

    test("a source that fails leaves nothing; many at once are all there", async () => {
      const failing = (async function* () {
        yield bytes("half");
        throw new Error("cut off");
      })();
      await expect(blobs.put(failing)).rejects.toThrow("cut off");
      expect(await blobs.has(sha256("half"))).toBeUndefined();
      const same = await Promise.all(Array.from({ length: 8 }, (_, i) => blobs.put(bytes(`many ${i % 2}`))));
      expect(new Set(same.map((one) => one.sha256)).size).toBe(2);
      for (const one of same) expect((await read(blobs, one.sha256)).length).toBe(6);
      expect(readdirSync(tmp).filter((name) => name.length === 24)).toEqual([]);
    });

    test("what arrived is there once it is kept, and not where it is dropped", async () => {
      const [kept, dropped] = [await blobs.arrive(bytes("kept")), await blobs.arrive(bytes("dropped"))];
      expect(await blobs.has(kept.stored.sha256)).toBeUndefined();
      await kept.keep();
      for (const one of [kept, dropped]) await one.drop();
      expect(await blobs.has(kept.stored.sha256)).toBe(4);
      expect(await blobs.has(dropped.stored.sha256)).toBeUndefined();
      expect(readdirSync(tmp).filter((name) => name.length === 24)).toEqual([]);
    });

    test("all are listed with their age; what is removed is gone", async () => {
      const { sha256: name } = await blobs.put(bytes("to go"));
      const listed = new Map<string, number>();
      for await (const one of blobs.list()) listed.set(one.sha256, one.age);
      expect(listed.get(name)).toBeLessThan(600);
      expect(listed.get(name)).toBeGreaterThan(-5);
      expect(listed.size).toBeGreaterThan(5);
      await blobs.remove(name);
      await blobs.remove(name);
      expect(await blobs.has(name)).toBeUndefined();
      await expect(blobs.open(name)).rejects.toMatchObject({ code: "BLOB_MISSING" });
      for (const wrong of ["../x", "", "A".repeat(64), `${"a".repeat(63)}/`]) {
        await expect(blobs.path(wrong)).rejects.toThrow("no name of a blob");
      }
    });
  });
}

describe.each(names.filter((name) => STORAGES[name] === undefined))("an object storage that fails: %s", (on) => {
  let blobs: BlobStore;
  let proxy: FaultyProxy;
  const tmp = join(folder, `tmp-${on}-faults`);
  beforeAll(async () => {
    ({ proxy } = storages.get(on)!);
    blobs = await openFaulty(on, "faults");
  });
  beforeEach(() => {
    proxy.faults.length = 0;
  });

  test("passing faults are not seen: refusals, resets, silence, answers that are cut, at every step", async () => {
    const large = randomBytes(2 * PART + 77);
    for (const fault of ["500", "503", "reset", "cut"] as const) {
      for (const data of [randomBytes(200_000), Buffer.concat([large, bytes(fault)])]) {
        // Every second request fails.
        proxy.faults.push(...Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? fault : ("none" as const))));
        const stored = await blobs.put(data);
        expect(stored.sha256).toBe(sha256(data));
        proxy.faults.length = 0;
        proxy.faults.push(fault, "none", fault);
        expect((await read(blobs, stored.sha256)).equals(data)).toBe(true);
        proxy.faults.length = 0;
      }
    }
    expect(proxy.done.size).toBeGreaterThanOrEqual(4);
  });

  test("a request that is not answered is made again", async () => {
    const impatient = await openFaulty(on, "faults", 5000);
    proxy.faults.push("hang", "none", "none");
    const { sha256: name } = await impatient.put(bytes("at last"));
    proxy.faults.push("none", "hang");
    expect((await read(impatient, name)).toString()).toBe("at last");
    expect(proxy.done).toContain("hang");
  });

  test("a download that is cut again and again goes on where it was", async () => {
    const data = randomBytes(3_000_000);
    const { sha256: name } = await blobs.put(data);
    proxy.faults.push("none", "cut", "cut", "cut", "cut", "cut", "cut", "cut", "cut");
    expect((await read(blobs, name)).equals(data)).toBe(true);
  });

  test("wrong bytes are found out, and are no whole answer", async () => {
    const { sha256: name } = await blobs.put(randomBytes(300_000));
    proxy.faults.push("none", "flip");
    let got = 0;
    const reading = async () => {
      for await (const part of await blobs.open(name)) got += (part as Buffer).length;
    };
    await expect(reading()).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
    expect(got).toBeLessThan(300_000);
    proxy.faults.push("none", "flip");
    await expect(blobs.path(name)).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
    expect(existsSync(join(tmp, name))).toBe(false);
    expect((await read(blobs, name)).length).toBe(300_000);
  });

  test("what does not pass is told in one form, without what is secret, and leaves nothing behind", async () => {
    proxy.faults.push(...Array<"503">(50).fill("503"));
    const failed = await blobs.put(randomBytes(2 * PART)).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "storage_unavailable", details: { retryAfter: 5 } });
    expect(JSON.stringify([failed, String((failed as Error).stack)])).not.toContain(SECRET);
    proxy.faults.length = 0;
    expect(readdirSync(tmp).filter((name) => name.length === 24)).toEqual([]);
    const nowhere = await openS3Blobs(`s3://missing?endpoint=http://127.0.0.1:${proxy.port}`, join(folder, "tmp-x"));
    await expect(nowhere.put(bytes("a"))).rejects.toMatchObject({ code: "storage_unavailable" });
  });
});

describe.skipIf(STORAGES.versitygw !== undefined)("an object storage that checks what it is told", () => {
  const on = "versitygw";

  test("whoever has another key is refused, and no secret is told", async () => {
    process.env.AWS_SECRET_ACCESS_KEY = "another";
    const stranger = await openFaulty(on, "strange");
    process.env.AWS_SECRET_ACCESS_KEY = SECRET;
    const failed = await stranger.put(bytes("a")).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "storage_unavailable", details: { found: "HEAD is answered 403 " } });
    const listed = async () => {
      for await (const _ of stranger.list()) break;
    };
    await expect(listed()).rejects.toMatchObject({ details: { found: "GET is answered 403 SignatureDoesNotMatch" } });
  });

  test("bytes that were spoiled on the way in are not kept, and are sent again", async () => {
    const { proxy } = storages.get(on)!;
    const blobs = await openFaulty(on, "spoiled");
    const data = randomBytes(300_000);
    proxy.faults.push("none", "flip sent");
    const { sha256: name } = await blobs.put(data);
    expect(proxy.done).toContain("flip sent");
    expect((await read(blobs, name)).equals(data)).toBe(true);
  });

  test("the drill: what nothing names is swept, and a backup brings all back after the storage is lost", async () => {
    const { storage } = storages.get(on)!;
    const store = await storeOn(await openEmptyEmbedded(), {
      data: join(folder, "data"),
      blobs: addressOf(on, "first"),
    });
    await addBase(store);
    const tenant = await newTenant(store);
    const put = async (text: string, old: boolean) => {
      const { sha256: name, bytes: size } = await store.blobs.put(bytes(text));
      if (old) utimesSync(join(storage.folder, "first/sha256", name.slice(0, 2), name), 1, 1);
      return { sha256: name, bytes: size, filename: "a.jsonl", purpose: "fine-tune" };
    };
    const kept = await store.files.create(tenant, await put("rows", true));
    const [lost, young] = [await put("named by nothing", true), await put("waits for its row", false)];
    expect((await sweep(store)).blobs).toBe(1);
    const there = await Promise.all([kept, lost, young].map((one) => store.blobs.has(one.sha256)));
    expect(there).toEqual([4, undefined, 17]);
    const job = await store.jobs.create(tenant, newJob());
    const { epoch } = await workUpTo(store, job, "decide");
    await store.leases.finish(job.id, epoch, done, verdict("released"));
    await store.audit.note(SERVER, "texts.viewed", {});
    await store.audit.seal();

    await backup(store, join(folder, "backup"));
    const look = async (from: typeof store) => ({
      files: await from.files.list(tenant, { limit: 9 }),
      jobs: await from.jobs.list(tenant, { limit: 9 }),
      report: await from.reviews.report(tenant, job.id),
      models: await from.models.list(tenant, { limit: 9 }),
      chain: await from.audit.verify(),
    });
    const before = await look(store);
    await store.close();
    rmSync(join(storage.folder, "first"), { recursive: true });
    rmSync(join(folder, "data"), { recursive: true });

    const options = { data: join(folder, "data"), blobs: addressOf(on, "second") };
    await restore(join(folder, "backup"), options);
    const again = await openStore(options);
    expect(await look(again)).toEqual(before);
    expect((await read(again.blobs, kept.sha256)).toString()).toBe("rows");
    await again.close();
  });
});

test("addresses of object storages", () => {
  const at = (address: string) => [placeOf(address).url, placeOf(address).prefix, placeOf(address).region];
  expect(at("s3://b/a/c/?region=eu-1")).toEqual(["https://b.s3.eu-1.amazonaws.com", "a/c/", "eu-1"]);
  expect(at("s3://b?endpoint=https://s.example:9000&region=x")).toEqual(["https://s.example:9000/b", "", "x"]);
  expect(at("s3://b?endpoint=https://s.example&style=host&region=x")[0]).toBe("https://b.s.example");
  for (const wrong of [
    "b/a",
    "https://b",
    "s3://",
    "s3://b?endpiont=https://x",
    "s3://b?endpoint=x",
    "s3://k:s@b",
    "s3://b?style=a",
  ]) {
    expect(() => placeOf(wrong), wrong).toThrow("names no object storage");
  }
});
