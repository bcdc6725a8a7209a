/** What every store of blobs must do, a folder or an object storage; and what an object storage must bear: a real server of the protocol (moto, from PyPI) behind a proxy that spoils what it is told to. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { BlobStore } from "../../src/service/store/blobs.ts";
import { openBlobs } from "../../src/service/store/blobs.ts";
import { openS3Blobs } from "../../src/service/store/blobs-s3.ts";
import { placeOf } from "../../src/service/store/s3.ts";
import { type FaultyProxy, startFaultyProxy } from "./faulty-proxy.ts";

const python = process.env.BOOSTER_PEERS_PYTHON ?? join(import.meta.dirname, "../peers/.venv/bin/python");
const moto = join(python, "../moto_server");
const whyNoS3 = existsSync(moto) ? undefined : "moto is not installed (test/peers/setup.sh)";
if (whyNoS3 !== undefined) console.log(`tests of object storage are left out: ${whyNoS3}`);

const PART = 5 * 1024 * 1024;
const KEY = "canary-of-a-secret-key";
const folder = mkdtempSync(join(tmpdir(), "booster-blobs-"));
let server: ChildProcess | undefined;
let proxy: FaultyProxy;

beforeAll(async () => {
  if (whyNoS3 !== undefined) return;
  server = spawn(moto, ["-H", "127.0.0.1", "-p", "0"], { stdio: ["ignore", "pipe", "pipe"] });
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    const hear = (text: Buffer): void => {
      said += text;
      const found = /127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (found !== undefined && found !== "0") resolve(Number(found));
    };
    server!.stdout!.on("data", hear);
    server!.stderr!.on("data", hear);
    server!.once("exit", () => reject(new Error(said)));
  });
  proxy = await startFaultyProxy(port);
  process.env.AWS_ACCESS_KEY_ID = "test";
  process.env.AWS_SECRET_ACCESS_KEY = KEY;
  expect((await fetch(`http://127.0.0.1:${port}/bucket`, { method: "PUT" })).status).toBe(200);
}, 300_000);
afterAll(async () => {
  await proxy?.close();
  server?.kill();
  rmSync(folder, { recursive: true });
});

const openFaulty = (name: string, silent = 60_000) =>
  openS3Blobs(`s3://bucket/${name}?endpoint=http://127.0.0.1:${proxy.port}`, join(folder, `tmp-${name}`), {
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

for (const kind of ["folder", "object storage"] as const) {
  describe.skipIf(kind === "object storage" && whyNoS3 !== undefined)(`blobs in a ${kind}`, () => {
    let blobs: BlobStore;
    const tmp = join(folder, kind === "folder" ? "tmp" : "tmp-conformance");
    beforeAll(async () => {
      blobs = kind === "folder" ? await openBlobs(join(folder, "blobs"), tmp) : await openFaulty("conformance");
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
      expect(await blobs.join(names)).toMatchObject({ sha256: sha256(Buffer.concat(parts.slice(0, 3))) });
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

describe.skipIf(whyNoS3 !== undefined)("an object storage that fails", () => {
  let blobs: BlobStore;
  beforeAll(async () => {
    blobs = await openFaulty("faults");
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
    expect(proxy.done.size).toBe(4);
  });

  test("a request that is not answered is made again", async () => {
    const impatient = await openFaulty("faults", 5000);
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
    expect(existsSync(join(folder, "tmp-faults", name))).toBe(false);
    expect((await read(blobs, name)).length).toBe(300_000);
  });

  test("what does not pass is told in one form, without what is secret, and leaves nothing behind", async () => {
    proxy.faults.push(...Array<"503">(50).fill("503"));
    const failed = await blobs.put(randomBytes(2 * PART)).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "storage_unavailable", details: { retryAfter: 5 } });
    expect(JSON.stringify([failed, String((failed as Error).stack)])).not.toContain(KEY);
    proxy.faults.length = 0;
    expect(readdirSync(join(folder, "tmp-faults")).filter((name) => name.length === 24)).toEqual([]);
    const nowhere = await openS3Blobs(`s3://missing?endpoint=http://127.0.0.1:${proxy.port}`, join(folder, "tmp-x"));
    await expect(nowhere.put(bytes("a"))).rejects.toMatchObject({ code: "storage_unavailable" });
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
