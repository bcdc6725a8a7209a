/** The hub as a user meets it: two processes at once, a kill in the middle, no connection, and what is printed. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Cli } from "../cli/run-cli.ts";
import { StandIn, sha256 } from "./stand-in.ts";

const hub = new StandIn();
const cli = new Cli();
const folder = mkdtempSync(join(tmpdir(), "booster-hub-cli-"));
const rows = Buffer.from(
  Array.from({ length: 4000 }, (_, i) => `{"prompt":"Number ${i * i}?","completion":"It is ${i}."}\n`).join(""),
);
const SECRET = "hf_neverPrintThisSecret";
let env: Record<string, string> = {};

beforeAll(async () => {
  await hub.start();
  hub.repositories.set("datasets/org/rows", {
    kind: "datasets",
    files: { "train.jsonl": { content: rows, lfs: true } },
  });
  hub.repositories.set("models/org/closed", {
    files: { "config.json": "{}", "model.safetensors": "x" },
    access: { token: "another", gated: true },
  });
});
beforeEach(() => {
  env = {
    HF_ENDPOINT: hub.endpoint,
    HF_HOME: mkdtempSync(join(folder, "home-")),
    HF_HUB_DOWNLOAD_TIMEOUT: "60",
    HF_TOKEN: SECRET,
  };
  hub.mischief = () => undefined;
  hub.asked.length = 0;
});
afterAll(async () => {
  await hub.stop();
  cli.remove();
  rmSync(folder, { recursive: true });
});

const stats = (...more: string[]) => cli.run(["data", "stats", "hf-data:org/rows", ...more], { env });
const blobs = () => join(env.HF_HOME ?? "", "hub", "datasets--org--rows", "blobs");
const ranges = () => hub.asked.filter((line) => line.includes("/resolve/")).map((line) => line.split(" ")[1]);

/** Sends half of the file and holds the rest back until `release`. */
function holding(): { readonly release: () => void } {
  let go: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    go = resolve;
  });
  hub.mischief = (request, response, seen) => {
    if (!request.url?.includes("Signature") || seen > 1) return undefined;
    response.writeHead(200, { "Content-Length": rows.length });
    response.write(rows.subarray(0, rows.length / 2));
    released.then(() => response.end(rows.subarray(rows.length / 2)));
    return true;
  };
  return { release: go };
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await wait(20);
};
const isHalfThere = () => {
  const path = join(blobs(), `${sha256(rows)}.incomplete`);
  return existsSync(path) && statSync(path).size >= rows.length / 2;
};

test("two processes want one file: one downloads, the other waits", async () => {
  const { release } = holding();
  const first = stats("--json");
  await until(isHalfThere);
  const onOutput = (text: string): void => {
    if (text.includes("another process downloads train.jsonl")) release();
  };
  const second = cli.run(["data", "stats", "hf-data:org/rows", "--json"], { env, onOutput });
  for (const { code, stdout } of await Promise.all([first, second])) {
    expect(code).toBe(0);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ examples: 4000 });
  }
  expect(ranges()).toEqual([undefined]);
});

test("a kill in the middle loses nothing: the next start goes on, and progress is told before the first byte", async () => {
  holding();
  let told = "";
  const killed = await cli.run(["data", "stats", "hf-data:org/rows", "--json"], {
    env,
    onOutput: (text, kill) => {
      told ||= text;
      until(isHalfThere).then(() => kill("SIGKILL"));
    },
  });
  expect(killed.code).toBeNull();
  expect(JSON.parse(told.split("\n")[0] ?? "")).toMatchObject({ type: "work", preparing: true });
  expect((await stats()).code).toBe(0);
  expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d{4,}-$/)]);
  expect(readdirSync(blobs())).toEqual([sha256(rows)]);
});

test("--offline opens no connection, before and after", async () => {
  const before = await stats("--offline", "--json");
  expect(before.code).toBe(1);
  expect(JSON.parse(before.stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
    error: { code: "HUB_NOT_CACHED" },
  });
  expect(hub.asked).toEqual([]);
  expect((await stats()).code).toBe(0);
  hub.asked.length = 0;
  expect((await stats("--offline")).code).toBe(0);
  expect(hub.asked).toEqual([]);
});

test("what is refused is explained, and the token is neither printed nor sent on", async () => {
  const { code, stdout, stderr } = await cli.run(["generate", "--model", "hf:org/closed", "--prompt", "x"], { env });
  expect(code).toBe(1);
  expect(stderr).toMatch(/error HUB_ACCESS: .*gated.*Accept its terms at .*\/org\/closed/);
  expect(stdout + stderr).not.toContain(SECRET);
  expect((await stats()).code).toBe(0);
  expect(hub.leaked).toEqual([]);
});
