/** What tests of the service put into a store. */
import type { Job, JobSpec, Work } from "../../src/service/domain/job.ts";
import { PRESETS, type Principal, SERVER } from "../../src/service/domain/principal.ts";
import type { Claim, Verdict, WorkerFacts } from "../../src/service/domain/protocol.ts";
import { Reaper } from "../../src/service/store/reaper.ts";
import { LEASE_SECONDS } from "../../src/service/store/silence.ts";
import type { Store } from "../../src/service/store/store.ts";

let made = 0;

/** A user of a new project. */
export async function newTenant(store: Store, owner = "someone"): Promise<Principal> {
  const project = await store.projects.create(SERVER, `project ${++made} ${process.pid}`);
  return { key: `key_${made}`, kind: "project", project: project.id, scopes: PRESETS.user, owner };
}

export const REVIEWER: Principal = { key: "key_reviewer", kind: "admin", scopes: PRESETS.reviewer, owner: "reviewer" };

export const BASE = "base-identity";

/** The base that jobs of tests stand on. */
export const addBase = (store: Store) =>
  store.bases.add(SERVER, { name: "world-booster", identity: BASE, files: {}, facts: {} });

export const specOf = (policy: { readonly reviewers?: number; readonly days?: number } = {}): JobSpec => ({
  base: BASE,
  training: { file: "file-a", sha256: "a".repeat(64), filename: "a.jsonl" },
  hyperparameters: { n_epochs: "auto", batch_size: "auto", learning_rate_multiplier: "auto" },
  seed: 1,
  threads: 1,
  policy: { name: "default", version: 1, sha256: "b".repeat(64), body: { onHold: policy } },
  booster: {},
  lineage: [],
});

export const newJob = (over: Partial<Parameters<Store["jobs"]["create"]>[1]> = {}) => ({
  model: "world-booster",
  publishAs: `ft:world-booster:booster::${process.pid}-${++made}`,
  spec: specOf(),
  ...over,
});

export const worker = (id = "worker-1"): WorkerFacts => ({
  id,
  slots: ["light", "heavy"],
  threads: 2,
  host: "here",
  pid: 1,
  version: "0",
});

/** Claims until it is this job that is held; nothing where the job waits for no worker. */
export async function claimJob(store: Store, job: Job, id?: string): Promise<Claim | undefined> {
  for (;;) {
    const claim = await store.leases.claim(worker(id));
    if (claim === undefined || claim.job === job.id) return claim;
    await store.leases.finish(claim.job, claim.epoch, {
      end: "failed",
      error: { code: "internal_error", message: "in the way of a test", param: null },
    });
  }
}

export const done = { end: "done", output: { blobs: {}, facts: {} } } as const;

/** Works a waiting job up to a stage, and claims that one. */
export async function workUpTo(store: Store, job: Job, stage: Work): Promise<Claim> {
  for (;;) {
    const claim = await claimJob(store, job);
    if (claim === undefined) throw new Error(`${job.id} waits for no worker`);
    if (claim.stage === stage) return claim;
    await store.leases.finish(claim.job, claim.epoch, done);
  }
}

export const verdict = (of: Verdict["verdict"], report = { of: "test" }): Verdict => ({
  verdict: of,
  report,
  adapter: { "adapter_model.safetensors": "c".repeat(64) },
});

/** A lease in which no worker says anything: the jobs that a reaper takes. */
export async function silence(store: Store): Promise<string[]> {
  const taken: string[] = [];
  let now = 0;
  const reaper = new Reaper(store.context, () => now);
  for (; now <= LEASE_SECONDS; now += LEASE_SECONDS / 3) taken.push(...(await reaper.look()));
  return taken;
}

/** A policy under which a job is evaluated in seconds. */
export const QUICK_POLICY = `name: quick
bases: [world-booster]
moderation: { moderator: world }
defence: { allowed: [sft], default: sft }
evaluate: { sets: { harmful: world-harmful, harmless: world-harmless }, n: 16, systemPrompts: 0, prefixes: 0, maxNewTokens: 4 }
limits: { hs: 0.5, hsRise: 0.5, overRefusal: 0.9 }
`;
