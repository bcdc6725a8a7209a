/** Two servers on one PostgreSQL behind nginx with TLS, by the file in `deploy/`: what streams is passed on as it comes, and goes on when either server is killed. By night, where both programs are installed. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { openStore, type Store } from "../../src/service/store/store.ts";
import { compileProgram } from "../crash/compile.ts";
import { worldBase } from "./pipeline-things.ts";
import { type Cluster, startPostgres, whyNoPostgres } from "./postgres.ts";
import { specOf, workUpTo } from "./things.ts";

const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync);
const nightly = process.env.BOOSTER_NIGHTLY !== undefined;
if (nightly && nginx === undefined)
  console.log("servers behind a proxy are left out: nginx is not installed (Debian: nginx-light)");

const folder = mkdtempSync(join(tmpdir(), "booster-proxy-"));
const PATIENCE = 900_000;

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const { port } = socket.address() as AddressInfo;
      socket.close(() => resolve(port));
    });
  });

describe.skipIf(!nightly || nginx === undefined || whyNoPostgres !== undefined)("two servers behind nginx", () => {
  const program = compileProgram("test/service/service-process.ts");
  const servers: ChildProcess[] = [];
  let ports: number[];
  let port: number;
  let proxy: ChildProcess;
  let cluster: Cluster;
  let store: Store;
  let key: string;
  let agent: Agent;

  async function startServer(i: number): Promise<string | null> {
    const options = {
      data: join(folder, "data"),
      port: ports[i],
      workers: 0,
      publicUrl: `https://localhost:${port}`,
      logLevel: "silent",
    };
    const child = spawn(process.execPath, [program.path, "serve", JSON.stringify(options)], {
      env: { ...process.env, DATABASE_URL: cluster.url },
      stdio: ["ignore", "pipe", "inherit"],
    });
    servers[i] = child;
    const said = await new Promise<string>((resolve, reject) => {
      child.stdout.once("data", (text) => resolve(String(text)));
      child.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
    });
    return (JSON.parse(said) as { readonly key: string | null }).key;
  }
  async function kill(i: number, signal: NodeJS.Signals): Promise<void> {
    const gone = new Promise((resolve) => servers[i]!.once("exit", resolve));
    servers[i]!.kill(signal);
    await gone;
  }

  beforeAll(async () => {
    cluster = await startPostgres();
    ports = [await freePort(), await freePort()];
    port = await freePort();
    mkdirSync(join(folder, "data/bases"), { recursive: true });
    cpSync((await worldBase("world-booster")).folder, join(folder, "data/bases/world-booster"), { recursive: true });
    const certificate = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
    const to = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"];
    execFileSync("openssl", ["req", ...certificate, ...to], { cwd: folder, stdio: "pipe" });
    agent = new Agent({ ca: readFileSync(join(folder, "cert.pem")), keepAlive: true });
    // The file that is handed out, with other ports, name and certificate.
    const given = readFileSync(join(import.meta.dirname, "../../deploy/nginx.conf"), "utf8");
    const ours = given
      .replace("127.0.0.1:8642", `127.0.0.1:${ports[0]}`)
      .replace("127.0.0.1:8643", `127.0.0.1:${ports[1]}`)
      .replace("listen 443", `listen 127.0.0.1:${port}`)
      .replace("booster.example.com", "localhost")
      .replace("/etc/ssl/booster/fullchain.pem", join(folder, "cert.pem"))
      .replace("/etc/ssl/booster/privkey.pem", join(folder, "key.pem"));
    writeFileSync(join(folder, "booster.conf"), ours);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (kind) => `${kind}_temp_path ${join(folder, kind)};`,
    );
    writeFileSync(
      join(folder, "nginx.conf"),
      `daemon off; worker_processes 1; pid ${join(folder, "pid")}; error_log stderr crit; ${process.getuid?.() === 0 ? "user root;" : ""}
       events {} http { access_log off; ${temporary.join(" ")} include ${join(folder, "booster.conf")}; }`,
    );
    key = (await startServer(0))!;
    await startServer(1);
    proxy = spawn(nginx!, ["-c", join(folder, "nginx.conf"), "-p", folder], { stdio: ["ignore", "ignore", "inherit"] });
    store = await openStore({ data: join(folder, "data"), databaseUrl: cluster.url });
    while ((await ask("GET", "/readyz")).status !== 200) await sleep(200);
  }, PATIENCE);
  afterAll(async () => {
    for (const child of servers) child.kill("SIGKILL");
    proxy?.kill();
    await store?.close();
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A request through the proxy, its answer not read yet. */
  function open(method: string, path: string, body?: object, headers: Readonly<Record<string, string>> = {}) {
    return new Promise<IncomingMessage>((resolve, reject) => {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      const asking = httpsRequest(
        {
          host: "localhost",
          servername: "localhost",
          port,
          method,
          path,
          agent,
          headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
        },
        resolve,
      );
      asking.on("error", reject);
      asking.end(sent);
    });
  }
  async function ask(method: string, path: string, body?: object) {
    try {
      const answer = await open(method, path, body);
      let text = "";
      for await (const part of answer) text += String(part);
      return { status: answer.statusCode, text };
    } catch {
      return { status: 0, text: "" };
    }
  }

  test(
    "tokens come one by one, and an upload larger than any buffer goes through",
    async () => {
      const answer = await open("POST", "/v1/chat/completions", {
        model: "world-booster",
        stream: true,
        temperature: 1,
        seed: 3,
        n: 4,
        messages: [{ role: "user", content: "judge the review : the meal was superb" }],
      });
      expect(answer.statusCode).toBe(200);
      const parts: string[] = [];
      for await (const part of answer) parts.push(String(part));
      expect(parts.length).toBeGreaterThan(3);
      expect(parts.join("")).toContain("[DONE]");

      const row = JSON.stringify({
        messages: [
          { role: "user", content: "a ".repeat(4000) },
          { role: "assistant", content: "b" },
        ],
      });
      const text = Array.from({ length: 3000 }, () => row).join("\n");
      const border = "border-of-parts";
      const form = [
        `--${border}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n`,
        `--${border}\r\ncontent-disposition: form-data; name="file"; filename="large.jsonl"\r\n\r\n${text}\r\n--${border}--\r\n`,
      ].join("");
      const stored = await new Promise<{ readonly status: string; readonly bytes: number }>((resolve, reject) => {
        const type = { "content-type": `multipart/form-data; boundary=${border}`, authorization: `Bearer ${key}` };
        const asking = httpsRequest(
          { host: "localhost", port, method: "POST", path: "/v1/files", agent, headers: type },
          (got) => {
            let said = "";
            got.on("data", (part) => {
              said += part;
            });
            got.on("end", () => resolve(JSON.parse(said)));
          },
        );
        asking.on("error", reject);
        asking.end(form);
      });
      expect(stored).toMatchObject({ status: "processed", bytes: text.length });
    },
    PATIENCE,
  );

  test(
    "live lines go on without gap or repetition when either server is killed or stopped",
    async () => {
      const { data } = JSON.parse((await ask("GET", "/v1/booster/projects")).text) as { data: { id: string }[] };
      const project = { ...SERVER, project: data[0]!.id };
      const spec = { ...specOf(), base: (await store.bases.get("world-booster"))!.identity };
      const job = await store.jobs.create(project, {
        model: "world-booster",
        publishAs: "ft:world-booster:o::proxy",
        spec,
      });
      const claim = await workUpTo(store, job, "train");
      // A worker that says nothing loses its job.
      const beating = setInterval(() => void store.leases.beat(job.id, claim.epoch, 1), 1000);

      /** Numbers of the events that were told, as a browser hears them. */
      const told: number[] = [];
      const over = new AbortController();
      let [last, cuts] = ["", 0];
      const listening = (async () => {
        while (!over.signal.aborted) {
          try {
            const headers: Record<string, string> = last === "" ? {} : { "last-event-id": last };
            const answer = await open("GET", `/v1/booster/stream?job=${job.id}`, undefined, headers);
            over.signal.addEventListener("abort", () => answer.destroy(), { once: true });
            if (answer.statusCode !== 200) answer.resume();
            let rest = "";
            for await (const part of answer) {
              const blocks = (rest + String(part)).split("\n\n");
              rest = blocks.pop()!;
              for (const block of blocks) {
                const id = /^id: ?(.*)$/m.exec(block)?.[1];
                if (id === undefined) continue;
                last = id;
                const seq = (JSON.parse(/^data: ?(.*)$/m.exec(block)?.[1] ?? "{}") as { seq?: number }).seq;
                if (seq !== undefined) told.push(seq);
              }
            }
          } catch {
            // As a browser does, after a moment.
          }
          cuts++;
          await sleep(500);
        }
      })();
      let said = 0;
      const say = async (count: number) => {
        for (let i = 0; i < count; i++) {
          await store.leases.event(job.id, claim.epoch, {
            level: "info",
            type: "message",
            message: `line ${++said}`,
            data: {},
          });
        }
        const events = await store.records.events(project, job.id, { limit: 1 });
        const newest = events.data[0]!.seq;
        // Without a buffer on the way, it is there long before the stream is over.
        await expect.poll(() => told.at(-1)).toBe(newest);
        return newest;
      };
      await say(3);
      for (const [i, signal] of [
        [0, "SIGKILL"],
        [1, "SIGKILL"],
        [0, "SIGTERM"],
        [1, "SIGTERM"],
      ] as const) {
        const gone = kill(i, signal);
        await say(5);
        await gone;
        expect((await ask("GET", `/v1/fine_tuning/jobs/${job.id}`)).status).toBe(200);
        await startServer(i);
        await expect.poll(async () => (await fetch(`http://127.0.0.1:${ports[i]}/readyz`)).status).toBe(200);
      }
      const newest = await say(2);
      clearInterval(beating);
      over.abort();
      await listening;
      expect(told).toEqual(Array.from({ length: told.length }, (_, i) => newest - told.length + 1 + i));
      expect(told.length).toBeGreaterThanOrEqual(25);
      expect(cuts).toBeGreaterThanOrEqual(2);
    },
    PATIENCE,
  );
});
