/** Real servers of Amazon's storage protocol: moto (from PyPI), which believes every signature, and versitygw (built from Go's module proxy), which checks each request's and its body's hash. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { placeOf, S3 } from "../../src/service/store/s3.ts";

const peers = join(import.meta.dirname, "../peers");
const moto = join(process.env.BOOSTER_PEERS_PYTHON ?? join(peers, ".venv/bin/python"), "../moto_server");
const versitygw = process.env.BOOSTER_PEERS_VERSITYGW ?? join(peers, ".venv/bin/versitygw");

/** Of each storage, why it cannot be had. */
export const STORAGES = {
  moto: existsSync(moto) ? undefined : "moto is not installed (test/peers/setup.sh)",
  versitygw: existsSync(versitygw) ? undefined : "versitygw is not installed (test/peers/setup.sh, with Go)",
} as const;
export type StorageName = keyof typeof STORAGES;
for (const [name, why] of Object.entries(STORAGES))
  if (why !== undefined) console.log(`tests of object storage on ${name} are left out: ${why}`);

export const SECRET = "canary-of-a-secret-key";

export interface Storage {
  readonly port: number;
  /** Where objects lie as files, of a storage that keeps them so. */
  readonly folder: string;
  stop(): void;
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const { port } = socket.address() as AddressInfo;
      socket.close(() => resolve(port));
    });
  });

/** A storage with the bucket `bucket`, whose credentials stand in the environment from now on. */
export async function startStorage(name: StorageName): Promise<Storage> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "booster-storage-"));
  mkdirSync(join(folder, "objects"));
  mkdirSync(join(folder, "facts"));
  const child =
    name === "moto"
      ? spawn(moto, ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" })
      : spawn(
          versitygw,
          // Facts of objects beside them: not every file system has attributes.
          [
            "--quiet",
            "--port",
            `127.0.0.1:${port}`,
            "posix",
            "--sidecar",
            join(folder, "facts"),
            join(folder, "objects"),
          ],
          { stdio: "ignore", env: { ROOT_ACCESS_KEY: "test", ROOT_SECRET_KEY: SECRET } },
        );
  process.env.AWS_ACCESS_KEY_ID = "test";
  process.env.AWS_SECRET_ACCESS_KEY = SECRET;
  const bucket = new S3(placeOf(`s3://bucket?endpoint=http://127.0.0.1:${port}`), { firstWait: 100, silent: 5000 });
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries > 300) throw new Error(`${name} does not start`);
    const made = await bucket.once("", { method: "PUT" });
    made?.done();
    if (made !== undefined) break;
    await sleep(100);
  }
  return {
    port,
    folder: join(folder, "objects", "bucket"),
    stop: () => {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
