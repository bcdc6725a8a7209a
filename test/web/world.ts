/** A server with something of everything, for tests of the dashboard: jobs in every state, and in every text something that would run if it were not text. */
import type { JobSpec, Work } from "../../src/service/domain/job.ts";
import type { JsonValue } from "../../src/service/domain/json.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import type { Claim, Verdict } from "../../src/service/domain/protocol.ts";
import type { TestServer } from "../service/server.ts";
import { worker } from "../service/things.ts";
import { addTinyBase } from "../service/tiny-base.ts";

/** Runs where a page takes a text for a part of itself. */
export const CANARY = `"><img src=x onerror=window.canary()><script>window.canary()</script>{{constructor}}`;

const rate = (count: number, total: number, low: number, high: number) => ({ count, total, low, high, clusters: 75 });

/** As `decide` writes them. */
function reportOf(job: string, spec: JobSpec, verdict: Verdict["verdict"], harmful: number): JsonValue {
  const after = rate(harmful, 150, harmful / 260, harmful / 90 + 0.025);
  const outcome = { released: "release", held: "hold", rejected: "reject" } as const;
  const framing = (name: string, rows?: number) => ({
    framing: name,
    ...(rows === undefined ? {} : { rows }),
    asked: true,
    before: {
      harmful: rate(1, 150, 0.001, 0.036),
      ...(rows === undefined ? { overRefusal: rate(9, 80, 0.06, 0.2) } : {}),
    },
    after: { harmful: after, ...(rows === undefined ? { overRefusal: rate(12, 80, 0.09, 0.24) } : {}) },
  });
  const report = {
    version: 1,
    job,
    lineage: [],
    base: { name: "tiny", identity: spec.base, alignment: { method: { name: "booster" }, seed: 1 } },
    continues: null,
    policy: { name: spec.policy.name, version: spec.policy.version, sha256: spec.policy.sha256 },
    files: { training: { id: spec.training.file, sha256: spec.training.sha256 }, rows: 200, trainedRows: 200 },
    moderation: {
      moderator: { name: "world" },
      rows: 200,
      turns: 200,
      flagged: 4,
      share: { value: 0.02, low: 0.008, high: 0.05 },
      repeats: 0,
      action: "hold",
      dropped: 0,
      categories: { harmful: 4 },
    },
    training: { steps: 75, trainedTokens: 2400, skipped: 0, seed: spec.seed, hyperparameters: { n_epochs: 3 } },
    repair: [],
    defence: { name: "sft" },
    evaluation: {
      sets: {},
      clusters: {},
      framings: [framing("plain"), framing("system 1", 120), framing("prefix 1", 31)],
    },
    criteria: [
      { name: "hs", framing: "plain", ...after, limit: 0.05, outcome: outcome[verdict] },
      { name: "hsRise", framing: "plain", ...after, limit: 0.05, outcome: outcome[verdict] },
      {
        name: "hs",
        framing: "system 1",
        total: 0,
        low: 0,
        high: 1,
        limit: 0.05,
        outcome: verdict === "held" ? "hold" : "release",
      },
      { name: "overRefusal", ...rate(12, 80, 0.09, 0.24), limit: 0.3, outcome: "release" },
      { name: "flagged", count: 4, total: 200, low: 0.02, high: 0.02, limit: 0.02, outcome: "release" },
    ],
    verdict,
    environment: { node: "20.20.2", platform: "linux x64", threads: 1 },
    says: "Released says that the model stayed within the limits on the prompts that were asked.",
  };
  return report as unknown as JsonValue;
}

/** A worker that does no work: it says what a real one would have found. */
export class PretendWorker {
  constructor(private readonly server: TestServer) {}

  /** Claims whatever waits, and says so much of it that the job is worked up to `until`. */
  async workUpTo(job: string, until: Work): Promise<Claim> {
    const { leases } = this.server.store;
    for (;;) {
      const claim = await leases.claim(worker());
      if (claim === undefined) throw new Error(`${job} waits for no worker`);
      if (claim.job !== job) throw new Error(`${claim.job} is in the way of ${job}`);
      if (claim.stage === until) return claim;
      await this.done(claim);
    }
  }

  async done({ job, epoch, stage, outputs }: Claim): Promise<void> {
    const { store } = this.server;
    if (stage === "train") await this.train(job, epoch, 1, 75);
    const flags = [3, 7, 8, 9].map((line) => ({ line, categories: ["harmful"], score: 0.9 }));
    const facts: Partial<Record<Work, Record<string, JsonValue>>> = {
      validate: {
        rows: 200,
        tokens: 6000,
        trainedTokens: 2400,
        hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1 },
        learningRate: 1e-4,
        steps: 75,
      },
      moderate: { rows: 200, flagged: 4, trainedRows: 200, trainedFlagged: 4 },
      train: { steps: 75, rows: 200, trainedTokens: 2400, tokens: 18_000, defence: { name: "sft" } },
      evaluate: { before: { count: 1, total: 150 }, plain: { harmful: { count: 5, total: 150 } }, framings: ["plain"] },
    };
    const blobs: Record<string, string> =
      stage === "moderate" && outputs.moderate === undefined
        ? { "flags.json": (await store.blobs.put(Buffer.from(JSON.stringify(flags)))).sha256 }
        : {};
    await store.leases.finish(job, epoch, { end: "done", output: { blobs, facts: facts[stage] ?? {} } });
  }

  /** Steps of a training, with their events, the last one's beat. */
  async train(job: string, epoch: number, from: number, to: number): Promise<void> {
    const { leases } = this.server.store;
    const rows = Array.from({ length: to - from + 1 }, (_, i) => {
      const step = from + i;
      const train_loss = 3 * Math.exp(-step / 30) + 0.2 * Math.sin(step * 7.3) ** 2 + 0.3;
      return { step, train_loss, train_mean_token_accuracy: 1 - train_loss / 4, learning_rate: 1e-4 };
    });
    await leases.metrics(job, epoch, rows);
    const last = rows.at(-1)!;
    const message = `Step ${to}/75: training loss=${last.train_loss.toFixed(2)}`;
    await leases.event(job, epoch, { level: "info", type: "metrics", message, data: { ...last, total_steps: 75 } });
    await leases.beat(job, epoch, to);
  }

  async finish(job: string, verdict: Verdict["verdict"], harmful: number): Promise<void> {
    const { leases } = this.server.store;
    const { epoch, spec } = await this.workUpTo(job, "decide");
    const report = reportOf(job, spec, verdict, harmful);
    const adapter = { "adapter_model.safetensors": "c".repeat(64) };
    const facts = { verdict, report, criteria: (report as { criteria: JsonValue }).criteria };
    await leases.finish(job, epoch, { end: "done", output: { blobs: {}, facts } }, { verdict, report, adapter });
  }
}

/** Rows that could be trained on, with something that would run. */
export const trainingRows = (rows = 200): string =>
  Array.from({ length: rows }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: "system", content: `You are kind ${CANARY}` },
        { role: "user", content: `what is ${i % 7} ${CANARY}` },
        { role: "assistant", content: `it is ${i % 7} ${CANARY}` },
      ],
    }),
  ).join("\n");

/** What the tests look for. */
export interface World {
  readonly jobs: Readonly<
    Record<
      "released" | "rejected" | "failed" | "cancelled" | "held" | "heldToo" | "paused" | "training" | "queued",
      string
    >
  >;
  readonly files: Readonly<Record<"good" | "bad", string>>;
  readonly model: string;
}

/** One thing of each kind. */
export async function fill(server: TestServer): Promise<World> {
  await addTinyBase(server);
  const { store, project } = server;
  const client = server.client();
  const upload = async (text: string, name: string) =>
    (await client.files.create({ file: new File([text], name), purpose: "fine-tune" })).id;
  const good = await upload(trainingRows(), `train ${CANARY}.jsonl`);
  const bad = await upload(`${trainingRows(12)}\n{"messages": []}\nno JSON ${CANARY}`, `bad ${CANARY}.jsonl`);
  const pretend = new PretendWorker(server);
  const create = async (suffix: string) =>
    (
      await client.fineTuning.jobs.create({
        model: "tiny",
        training_file: good,
        suffix,
        metadata: { name: `${suffix} ${CANARY}` },
        seed: 7,
      })
    ).id;
  const judged = async (suffix: string, verdict: Verdict["verdict"], harmful: number) => {
    const job = await create(suffix);
    await pretend.finish(job, verdict, harmful);
    return job;
  };
  const released = await judged("released", "released", 0);
  const rejected = await judged("rejected", "rejected", 60);
  const held = await judged("held", "held", 5);
  const heldToo = await judged("held-too", "held", 6);
  const failed = await create("failed");
  const { epoch } = await pretend.workUpTo(failed, "train");
  const error = { code: "training_diverged", message: "The loss is no number any more", param: null } as const;
  await store.leases.finish(failed, epoch, { end: "failed", error });
  const cancelled = await create("cancelled");
  await client.fineTuning.jobs.cancel(cancelled);
  const paused = await create("paused");
  await client.fineTuning.jobs.pause(paused);
  const training = await create("training");
  const claim = await pretend.workUpTo(training, "train");
  await pretend.train(training, claim.epoch, 1, 40);
  const queued = await create("queued");
  await store.projects.create(SERVER, `other ${CANARY}`.slice(0, 100));
  for (const preset of ["reader", "reviewer"] as const) {
    const wanted = {
      kind: "project",
      project,
      name: `${preset} ${CANARY}`,
      scopes: ["jobs:read"],
      owner: CANARY,
    } as const;
    await store.keys.create(SERVER, wanted);
  }
  await store.usage.add({ ...SERVER, project }, `tiny ${CANARY}`, {
    requests: 2,
    prompt_tokens: 1234,
    completion_tokens: 56,
  });
  const { publishAs } = (await store.jobs.get({ ...SERVER, project }, released))!;
  return {
    jobs: { released, rejected, failed, cancelled, held, heldToo, paused, training, queued },
    files: { good, bad },
    model: publishAs,
  };
}
