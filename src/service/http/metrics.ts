import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EngineStatus, ServingEngine } from "../engine/types.ts";

/** What the server counts. No label names a tenant, key, model or job: such labels grow for ever. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Histogram({
    name: "http_request_seconds",
    help: "time until the answer's first byte",
    labelNames: ["route", "status"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [this.registry],
  });
  readonly inFlight = new Gauge({
    name: "http_in_flight",
    help: "requests without an answer yet",
    registers: [this.registry],
  });
  readonly streams = new Gauge({
    name: "sse_clients",
    help: "open streams of events",
    registers: [this.registry],
  });
  readonly webhooks = new Counter({
    name: "webhook_total",
    help: "tries to tell a receiver, by what became of them",
    labelNames: ["outcome"],
    registers: [this.registry],
  });

  readonly stageSeconds = new Histogram({
    name: "job_stage_seconds",
    help: "time that a worker took for a stage of a job",
    labelNames: ["stage", "outcome"],
    buckets: [1, 5, 20, 60, 300, 1800, 7200, 36_000],
    registers: [this.registry],
  });
  readonly queueSeconds = new Histogram({
    name: "job_queue_seconds",
    help: "time that a job waited for a worker",
    buckets: [1, 5, 20, 60, 300, 1800, 7200, 36_000],
    registers: [this.registry],
  });
  readonly leasesReaped = new Counter({
    name: "leases_reaped_total",
    help: "jobs taken from workers that had fallen silent",
    registers: [this.registry],
  });
  readonly fencedWrites = new Counter({
    name: "fenced_writes_total",
    help: "reports of workers whose time was over: nothing was written",
    registers: [this.registry],
  });
  readonly verdicts = new Counter({
    name: "safety_verdicts_total",
    help: "ends of evaluations",
    labelNames: ["verdict"],
    registers: [this.registry],
  });
  readonly moderated = new Counter({
    name: "moderation_rows_total",
    help: "rows that were moderated",
    labelNames: ["flagged"],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Numbers of the processes that serve, asked when somebody looks. */
  followEngine(status: ServingEngine["status"]): void {
    const gauge = (name: string, help: string, read: (one: EngineStatus) => number): void => {
      new Gauge({
        name,
        help,
        labelNames: ["base"],
        registers: [this.registry],
        collect() {
          // A base that is in memory no more is told of no more.
          this.reset();
          for (const [base, one] of Object.entries(status())) this.set({ base }, read(one));
        },
      });
    };
    gauge("engine_rows", "answers that are being written", ({ rows }) => rows);
    gauge("engine_queue", "answers that wait", ({ waiting }) => waiting);
    gauge("engine_bytes", "memory that the base counts with", ({ bytes }) => bytes);
    gauge("engine_kv_bytes", "memory of the caches", ({ cacheBytes }) => cacheBytes);
    gauge("engine_slots_used", "adapters in memory", ({ slots }) => slots.used);
    gauge("engine_restarts", "new starts of the process", ({ restarts }) => restarts);
    gauge("engine_prompt_tokens", "tokens read since the process began", ({ tokens }) => tokens.prompt);
    gauge("engine_completion_tokens", "tokens written since the process began", ({ tokens }) => tokens.completion);
  }

  /** How many jobs are where, and how long a reviewer has been waited for; asked when somebody looks. */
  followJobs(counts: () => Promise<ReadonlyMap<string, number>>, heldFor: () => Promise<number>): void {
    new Gauge({
      name: "held_oldest_seconds",
      help: "for how long the oldest held job has waited for a reviewer",
      registers: [this.registry],
      async collect() {
        this.set(await heldFor());
      },
    });
    new Gauge({
      name: "jobs",
      help: "jobs that are not over",
      labelNames: ["stage"],
      registers: [this.registry],
      async collect() {
        this.reset();
        for (const [stage, count] of await counts()) this.set({ stage }, count);
      },
    });
  }
}
