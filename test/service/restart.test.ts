/** What `booster serve`, the program itself, leaves as it was when it starts again: after its policy file was changed, and as a newer release with another bundled policy. */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { readBase } from "../../src/service/pipeline/base.ts";
import { bundledPolicy, loadPolicy } from "../../src/service/pipeline/policy-file.ts";
import { keepBase } from "../../src/service/set-up-base.ts";
import { openStore } from "../../src/service/store/store.ts";
import type { Cli } from "../cli/run-cli.ts";
import { WORLD } from "./engine/world.ts";

/** Half a minute of computing: a database that is made, and two starts of the whole program. */
const nightly = describe.runIf(process.env.BOOSTER_NIGHTLY !== undefined);
let cli: Cli;
let data: string;

/** The bundled base is there already, so that nothing is trained here. */
async function prepare(): Promise<void> {
  cli = new (await import("../cli/run-cli.ts")).Cli();
  data = join(cli.folder, "data");
  const folder = join(data, "bases", "world-booster");
  cpSync(WORLD, folder, { recursive: true });
  const adapter = { learningRate: 1e-4, loraRank: 8, loraAlpha: 16 };
  const card = { version: 1, name: "world-booster", alignment: null, template: "chat", ...adapter };
  writeFileSync(join(folder, "base.json"), JSON.stringify(card));
  const store = await openStore({ data });
  await keepBase(store, SERVER, await readBase(folder));
  await store.close();
}

/** Another release of the package: the same program with another version and another bundled policy. */
function release(version: string, policy: string): string {
  const root = mkdtempSync(join(dirname(cli.path), "../../release-"));
  for (const part of ["src", "test"])
    cpSync(join(dirname(cli.path), "../..", part), join(root, part), { recursive: true });
  writeFileSync(join(root, "package.json"), JSON.stringify({ type: "module", version }));
  mkdirSync(join(root, "assets/policies"), { recursive: true });
  writeFileSync(join(root, "assets/policies/default.yaml"), policy);
  return join(root, "src/cli/main.js");
}

interface Started {
  readonly url: string;
  readonly key?: string;
}
type Get = <T>(path: string, body?: unknown) => Promise<T>;

/** Starts `booster serve` on the data, lets somebody with a key use it, and stops it as an operator does. */
async function serving<T>(program: string, args: readonly string[], key: string, use: (get: Get) => Promise<T>) {
  const all = ["serve", "--data", data, "--port", "0", "--workers", "0", "--json", "--log-level", "silent", ...args];
  const child = spawn(process.execPath, [program, ...all], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  try {
    for await (const line of createInterface(child.stdout)) {
      const said = JSON.parse(line) as { readonly type: string } & Started;
      if (said.type !== "result") continue;
      const own = said.key ?? key;
      const headers = { authorization: `Bearer ${own}`, "content-type": "application/json" };
      const get: Get = async <T>(path: string, body?: unknown) => {
        const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
        const answer = await fetch(said.url + path, { headers, ...post });
        expect(answer.status).toBe(200);
        return (await answer.json()) as T;
      };
      return { said: await use(get), key: own, hadKey: said.key !== undefined };
    }
    throw new Error("the server ended before it answered");
  } finally {
    child.kill("SIGTERM");
    expect(await ended).toBe(143);
  }
}

/** Names, versions and hashes of all policies, and the one of each project. */
async function policiesOf(get: Get) {
  type List<T> = { readonly data: readonly T[] };
  const versions = await get<List<{ version: number; sha256: string }>>("/v1/booster/policies/default");
  const projects = await get<List<{ policy: string }>>("/v1/booster/projects");
  const { info } = await get<{ info: { version: string } }>("/openapi.json");
  return {
    release: info.version,
    projects: projects.data.map(({ policy }) => policy),
    versions: versions.data.map(({ version, sha256 }) => [version, sha256]),
  };
}

nightly("a server that starts again", () => {
  beforeAll(prepare);
  afterAll(() => cli.remove());

  test("the owner's policy outlives a restart after its file was changed, and an upgrade of the bundled one", async () => {
    const text = readFileSync(bundledPolicy(), "utf8");
    const stricter = cli.write("policy.yaml", text.replace("overRefusal: 0.30", "overRefusal: 0.20"));
    const started = await loadPolicy(stricter);
    const first = await serving(cli.path, ["--policy", stricter], "", async (get) => {
      // What the owner sets while it runs is the newest version.
      const policy = { ...started.policy, limits: { ...started.policy.limits, overRefusal: 0.1 } };
      await get("/v1/booster/policies", { policy, sets: [] });
      return policiesOf(get);
    });
    expect(first).toMatchObject({ hadKey: true, said: { projects: ["default"] } });
    expect(first.said.versions).toHaveLength(2);
    expect(first.said.versions.at(-1)).toEqual([1, started.sha256]);

    cli.write("policy.yaml", text.replace("overRefusal: 0.30", "overRefusal: 0.40"));
    const upgraded = release("99.0.0", text.replace("overRefusal: 0.30", "overRefusal: 0.50"));
    const again = await serving(upgraded, [], first.key, policiesOf);
    expect(again).toEqual({ ...first, hadKey: false, said: { ...first.said, release: "99.0.0" } });
  });
});
