/** Bases beyond the bundled one: made of a model, named by jobs and requests, retired. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { Keeper } from "../../src/service/base-keeper.ts";
import type { JsonValue } from "../../src/service/domain/json.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { baseRoutes } from "../../src/service/http/routes/bases.ts";
import { policyOf } from "../../src/service/pipeline/policy.ts";
import { folderOf } from "../../src/service/set-up-base.ts";
import { compileProgram } from "../crash/compile.ts";
import { WORLD } from "./engine/world.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-bases-"));
const program = compileProgram("src/service/engine/child.ts");
let server: TestServer;
let engine: ServingEngine;
let keeper: Keeper;

beforeAll(async () => {
  server = await startTestServer({
    more(service) {
      const { store, log } = service;
      engine = startServing({
        folderOf: (name) => folderOf(store, folder, name),
        version: "test",
        module: program.path,
        threads: 1,
      });
      const module = compileProgram("src/service/pipeline/base-child.ts").path;
      keeper = new Keeper({ store, folder, threads: 1, log, module });
      return [...inferenceRoutes({ service, engine }), ...baseRoutes(store, engine, keeper)];
    },
  });
});
afterAll(async () => {
  await keeper.stop();
  await engine.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const Bases = z.object({ data: z.array(z.looseObject({ id: z.string(), state: z.string() })) });

async function ask(path: string, body?: object) {
  const response = await fetch(`${server.url}/v1/booster/bases${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A base as the list has it, once nothing is done with it any more. */
async function settled(name: string) {
  for (;;) {
    const { data } = Bases.parse((await ask("")).body);
    const base = data.find(({ id }) => id === name);
    if (base?.doing === null) return base;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const chat = (model: string) =>
  server.client().chat.completions.create({
    model,
    messages: [{ role: "user", content: "brew gloomtar" }],
    temperature: 0,
    max_tokens: 4,
  });

async function jobOn(model: string) {
  const client = server.client();
  const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
  return client.fineTuning.jobs.create({ model, training_file: file.id });
}

test("a base is made of a model and named by requests, and by jobs once a policy lists it; retired, it is neither, and its name stays taken", async () => {
  expect(await ask("", { name: "second", model: WORLD, learningRate: 1e-4 })).toMatchObject({
    status: 200,
    body: { id: "second", state: "preparing", identity: null },
  });
  expect(await ask("", { name: "second", model: WORLD })).toMatchObject({ status: 400 });
  expect(await settled("second")).toMatchObject({ state: "active", serving: "unloaded", problem: null });
  const { data } = await server.client().models.list();
  expect(data.map(({ id }) => id)).toContain("second");
  expect((await chat("second")).choices[0]?.message.content).not.toBe("");
  expect(await settled("second")).toMatchObject({ serving: "ready" });

  await expect(jobOn("second")).rejects.toMatchObject({ code: "policy_violation" });
  const { store } = server;
  const stored = (await store.policies.current("default"))!;
  const wider = { ...policyOf(stored.body), bases: ["world-booster", "second"] };
  const set = (policy: object) => store.policies.set(SERVER, "default", policy as unknown as JsonValue);
  await set(wider);
  await expect(jobOn("second")).rejects.toMatchObject({
    code: "policy_violation",
    message: expect.stringContaining("allowUnaligned"),
  });
  await set({ ...wider, allowUnaligned: true });
  expect(await jobOn("second")).toMatchObject({ model: "second", status: "validating_files" });

  expect(await ask("/second/retire", {})).toMatchObject({ status: 200, body: { state: "retired" } });
  await expect(chat("second")).rejects.toMatchObject({ code: "model_not_found" });
  await expect(jobOn("second")).rejects.toMatchObject({ code: "model_not_found" });
  await expect.poll(() => engine.status().second).toBeUndefined();
  expect(await ask("", { name: "second", model: WORLD })).toMatchObject({
    status: 400,
    body: { error: { param: "name", code: "invalid_value" } },
  });
});

test("what cannot be made says why, and the name is free for another try", async () => {
  await ask("", { name: "none", model: "/nowhere" });
  expect(await settled("none")).toMatchObject({ state: "failed", problem: expect.stringContaining("FILE_NOT_FOUND") });
  const wrong = [
    [{ name: "../x", model: WORLD }, "name"],
    [{ name: "x", model: WORLD, align: { method: { name: "lisa" } } }, "align.method"],
    [{ name: "x", model: WORLD, align: { policy: "absent" } }, "align.policy"],
  ] as const;
  for (const [wish, param] of wrong) {
    expect(await ask("", wish)).toMatchObject({ status: 400, body: { error: { param } } });
  }
  expect(await ask("/none/evaluate", {})).toMatchObject({ status: 404 });
});
