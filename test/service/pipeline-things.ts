/** What tests of the pipeline share: aligned bases, jobs on them, and the server's side of the workers' protocol without HTTP. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { BoosterFields, Job, JobSpec } from "../../src/service/domain/job.ts";
import type { JsonValue } from "../../src/service/domain/json.ts";
import { type Principal, SERVER } from "../../src/service/domain/principal.ts";
import type { WorkerProtocol } from "../../src/service/domain/protocol.ts";
import type { BaseFolder } from "../../src/service/pipeline/base.ts";
import { bundledBase } from "../../src/service/pipeline/bundled-base.ts";
import { type Policy, policyHash } from "../../src/service/pipeline/policy.ts";
import { bundledPolicy, loadPolicy } from "../../src/service/pipeline/policy-file.ts";
import type { Store } from "../../src/service/store/store.ts";
import { bundledModel } from "../../src/stages/package-root.ts";
import { WORLD_RECIPE } from "../../src/stages/world-recipe.ts";
import { compileProgram } from "../crash/compile.ts";

const cache = join(import.meta.dirname, "../../node_modules/.cache/booster/bases");

/** A base of the service, made once for a recipe and a bundled model. */
export async function worldBase(name: Parameters<typeof bundledBase>[1]): Promise<BaseFolder> {
  const key = createHash("sha256")
    .update(JSON.stringify(WORLD_RECIPE))
    .update(readFileSync(join(bundledModel(), "model.safetensors")))
    .digest("hex");
  const folder = join(cache, key.slice(0, 16), name);
  mkdirSync(join(folder, ".."), { recursive: true });
  if (existsSync(folder)) return bundledBase(folder, name);
  return bundledBase(folder, name, {}, compileProgram("src/service/pipeline/base-child.ts").path);
}

/** A base and its files in a store. */
export async function addBase(store: Store, { folder, files, identity, card }: BaseFolder): Promise<void> {
  const stored: Record<string, string> = {};
  for (const name of files) stored[name] = (await store.blobs.put(createReadStream(join(folder, name)))).sha256;
  await store.bases.add(SERVER, { name: card.name, identity, files: stored, facts: {} });
}

/** The bundled policy with changes, and its sets in a store. */
export async function addPolicy(store: Store, change: (policy: Policy) => Policy = (policy) => policy) {
  const { policy, blobs } = await loadPolicy(bundledPolicy());
  for (const bytes of blobs.values()) await store.blobs.put(bytes);
  const body = change(policy);
  return { name: body.name, version: 1, sha256: policyHash(body), body: body as unknown as JsonValue };
}

let made = 0;

/** A row as OpenAI's clients write it. */
export const chatRow = (question: string, answer: string, system?: string): object => ({
  messages: [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ],
});

export const jsonLines = (rows: readonly object[]): Buffer =>
  Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

export interface JobParts {
  readonly base: BaseFolder;
  readonly policy: JobSpec["policy"];
  readonly rows: readonly object[];
  readonly validation?: readonly object[];
  readonly booster?: BoosterFields;
  readonly hyperparameters?: Partial<JobSpec["hyperparameters"]>;
  readonly more?: Partial<JobSpec>;
}

/** A job on these rows. */
export async function createJob(store: Store, tenant: Principal, parts: JobParts): Promise<Job> {
  const put = async (rows: readonly object[]) => {
    const { sha256 } = await store.blobs.put(jsonLines(rows));
    return { file: `file-${++made}`, sha256, filename: "rows.jsonl" };
  };
  const { base, policy, rows, validation, booster = {}, hyperparameters, more } = parts;
  const spec: JobSpec = {
    base: base.identity,
    training: await put(rows),
    ...(validation === undefined ? {} : { validation: await put(validation) }),
    hyperparameters: { n_epochs: "auto", batch_size: "auto", learning_rate_multiplier: "auto", ...hyperparameters },
    seed: 1,
    threads: 1,
    policy,
    booster,
    lineage: [],
    ...more,
  };
  return store.jobs.create(tenant, { model: base.card.name, publishAs: `ft:${base.card.name}:t::${++made}`, spec });
}

/** The server's side, without HTTP. */
export const protocolOn = (store: Store): WorkerProtocol => ({
  claim: (worker) => store.leases.claim(worker),
  beat: (...args) => store.leases.beat(...args),
  event: (...args) => store.leases.event(...args),
  metrics: (...args) => store.leases.metrics(...args),
  checkpoint: (...args) => store.leases.checkpoint(...args),
  finish: (job, epoch, outcome, verdict) => store.leases.finish(job, epoch, outcome, verdict),
  readBlob: async (_job, _epoch, sha256, to) => pipeline(await store.blobs.open(sha256), createWriteStream(to)),
  writeBlob: async (_job, _epoch, from, sealed) =>
    (await store.blobs.put(sealed ? store.secrets.seal(readFileSync(from)) : createReadStream(from))).sha256,
});
