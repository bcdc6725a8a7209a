/** A PostgreSQL of a test's own: a cluster in a temporary folder on a free port of this host. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

const FOLDERS = [15, 16, 17, 18].map((version) => `/usr/lib/postgresql/${version}/bin`);
const bin = FOLDERS.find((folder) => existsSync(join(folder, "postgres")));

/** Why there is none; undefined where there is one. */
export const whyNoPostgres =
  bin === undefined ? "PostgreSQL 15 or later is not installed (Debian: postgresql-15)" : undefined;

if (whyNoPostgres !== undefined) console.log(`tests on a PostgreSQL are left out: ${whyNoPostgres}`);

export interface Cluster {
  readonly url: string;
  readonly port: number;
  /** Kills it, or stops it as an administrator would, and starts it on the same folder and port. */
  restart(how: "fast" | "immediate"): Promise<void>;
  stop(): Promise<void>;
}

/** PostgreSQL refuses to run as root; whoever runs the tests as root lends it the name of nobody. */
function user(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [, , uid, gid] = (/^nobody:.*$/m.exec(readFileSync("/etc/passwd", "utf8"))?.[0] ?? "").split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(address)));
    });
  });

export async function startPostgres(): Promise<Cluster> {
  if (bin === undefined) throw new Error(whyNoPostgres);
  const as = user();
  const folder = mkdtempSync(join(tmpdir(), "booster-postgres-"));
  if (as.uid !== undefined && as.gid !== undefined) chownSync(folder, as.uid, as.gid);
  const data = join(folder, "data");
  const port = await freePort();
  const environment = { ...process.env, LC_ALL: "C", HOME: folder };
  execFileSync(join(bin, "initdb"), ["-D", data, "-U", "booster", "--auth=trust", "--no-sync", "-E", "UTF8"], {
    ...as,
    cwd: folder,
    env: environment,
    stdio: "pipe",
  });
  const url = `postgres://booster@127.0.0.1:${port}/postgres`;
  let server: ChildProcess;
  const start = async (): Promise<void> => {
    const options = ["-D", data, "-p", `${port}`, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="];
    server = spawn(join(bin, "postgres"), options, { ...as, cwd: folder, env: environment, stdio: "ignore" });
    for (let tries = 0; ; tries++) {
      const client = new pg.Client({ connectionString: url });
      try {
        await client.connect();
        await client.end();
        return;
      } catch (error) {
        if (tries > 300) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };
  const end = (signal: NodeJS.Signals): Promise<void> =>
    new Promise((resolve) => {
      server.once("exit", () => resolve());
      server.kill(signal);
    });
  await start();
  return {
    url,
    port,
    restart: async (how) => {
      await end(how === "fast" ? "SIGINT" : "SIGQUIT");
      await start();
    },
    stop: async () => {
      await end("SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
