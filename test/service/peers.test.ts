/** A2 and A17: programs of others, unmodified, from an environment of their own (`test/peers/setup.sh`). */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServing } from "../../src/service/engine/serving.ts";
import type { ServingEngine } from "../../src/service/engine/types.ts";
import { inferenceRoutes } from "../../src/service/http/inference/index.ts";
import { compileProgram } from "../crash/compile.ts";
import { WORLD } from "./engine/world.ts";
import { rowsFile, startTestServer, type TestServer } from "./server.ts";
import { workUpTo } from "./things.ts";

const PEERS = join(import.meta.dirname, "../peers");
const bin = (name: string) => join(PEERS, ".venv/bin", name);
const isThere = existsSync(bin("schemathesis"));
if (!isThere) console.log("skipped: the peers in Python are absent; test/peers/setup.sh brings them");
/** Cases of schemathesis for each operation, by night. By day fuzz.test.ts draws requests from the same document. */
const CASES = Number(process.env.BOOSTER_CASES ?? 100);
const isNight = process.env.BOOSTER_NIGHTLY !== undefined;
const MODEL = "world-booster";

let server: TestServer;
let engine: ServingEngine;
let program: ReturnType<typeof compileProgram>;
const scratch = mkdtempSync(join(tmpdir(), "booster-peers-"));

describe.skipIf(!isThere)("peers", () => {
  beforeAll(async () => {
    program = compileProgram("src/service/engine/child.ts");
    const serving = startServing({ folderOf: async () => WORLD, version: "test", module: program.path, threads: 1 });
    engine = serving;
    server = await startTestServer({ more: (service) => inferenceRoutes({ service, engine: serving }) });
  });
  afterAll(async () => {
    await engine?.close();
    await server?.stop();
    rmSync(scratch, { recursive: true });
  });

  test("A2: the PyPI client finds every answer to be of its types", async () => {
    const client = server.client();
    const { id } = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
    const job = await client.fineTuning.jobs.create({ model: MODEL, training_file: id });
    const of = { key: "k", kind: "project", scopes: [], owner: "o", project: server.project } as const;
    const { epoch } = await workUpTo(server.store, (await server.store.jobs.get(of, job.id))!, "train");
    for (const step of [2, 4]) {
      const metrics = { train_loss: 1 / step };
      await server.store.leases.checkpoint(job.id, epoch, { step, epochEnd: true, files: {}, metrics });
    }
    const args = [join(PEERS, "openai_client.py"), `${server.url}/v1`, server.key, MODEL, job.id];
    const { stdout } = await promisify(execFile)(bin("python"), args);
    expect(stdout).toContain("all answers are of the client's types");
  });

  test.runIf(isNight)(
    `A17: schemathesis, ${CASES} cases for each operation, finds no defect and no answer of another form`,
    async () => {
      const checks = [
        "not_a_server_error",
        "response_schema_conformance",
        "content_type_conformance",
        "status_code_conformance",
      ];
      const args = [
        ...["run", `${server.url}/openapi.json`, "--header", `Authorization: Bearer ${server.key}`],
        ...["--checks", checks.join(","), "--phases", "examples,coverage,fuzzing", "--max-examples", `${CASES}`],
        // Events of jobs come for ever.
        ...["--exclude-path", "/v1/booster/stream", "--generation-deterministic", "--no-color"],
      ];
      const { stdout } = await promisify(execFile)(bin("schemathesis"), args, { cwd: scratch, maxBuffer: 1e8 }).catch(
        (error: { readonly stdout: string }) => error,
      );
      expect(stdout).toMatch(/ (\d+) generated, \1 passed/);
      console.log(/\d+ generated, .*/.exec(stdout)?.[0]);
    },
    7_200_000,
  );
});
