import { readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { asBoosterError, BoosterError } from "../../errors.ts";
import { Child, type Event } from "../../train/index.ts";
import type { JobEvent, StageOutput } from "../domain/job.ts";
import type { Claim, Outcome, WorkerProtocol } from "../domain/protocol.ts";
import { ServiceError } from "../domain/service-error.ts";
import { verdictFrom } from "../pipeline/stages/decide.ts";
import { inputsOf, jobError, PLACES, type StageMade } from "../pipeline/stages/stage.ts";
import { isLeaseLost } from "./client.ts";
import { MetricsTail, type StepValues } from "./metrics.ts";
import { Queue } from "./queue.ts";
import type { Scratch } from "./scratch.ts";
import type { StageTask } from "./stage-child.ts";

/** Rows of metrics in one call. */
const METRIC_ROWS = 500;
const METRICS_MS = 1000;

/** How a worker does its work. */
export interface WorkOptions {
  readonly scratch: Scratch;
  /** The module that the child runs. */
  readonly module: URL | string;
  /** Bytes that it may have. */
  readonly memory: number | undefined;
  readonly beatMs: number;
  readonly checkpointSeconds: number;
}

/** Why a stage that goes well is stopped. */
type Stop = "pause" | "drain" | "lost";

/** One stage of one job: fetched, computed in a child, told of on the way, and handed over. */
class Piece {
  private readonly child: Child;
  private readonly stop = new AbortController();
  private readonly queue = new Queue((failure) => {
    // A job whose checkpoints nobody can keep, or that is another's by now, is not trained on.
    if (isLeaseLost(failure)) this.end("lost");
    else this.child.destroy();
  });
  private readonly folder: string;
  private readonly metrics: MetricsTail;
  private stopped: Stop | undefined;
  private step: number;
  private totalSteps = 0;
  private secondsLeft: number | undefined;
  private beating = false;
  private readonly began = performance.now();

  constructor(
    private readonly claim: Claim,
    private readonly server: WorkerProtocol,
    private readonly options: WorkOptions,
  ) {
    this.child = new Child(options.module, options.memory);
    this.folder = options.scratch.folderFor(claim);
    this.metrics = new MetricsTail(join(this.folder, PLACES.run, "metrics.jsonl"));
    this.step = claim.step;
  }

  /** Asks the child to finish its step and save; a lease that is lost leaves nothing to save for. */
  end(why: Stop): void {
    if (this.stopped === "lost") return;
    this.stopped = why;
    if (why === "lost") this.child.destroy();
    else this.stop.abort(why);
  }

  async run(drain: AbortSignal): Promise<void> {
    const { job, epoch } = this.claim;
    const onDrain = (): void => this.end("drain");
    drain.addEventListener("abort", onDrain, { once: true });
    if (drain.aborted) onDrain();
    const beats = setInterval(() => void this.beat(), this.options.beatMs);
    const measures = setInterval(() => this.tellMetrics(false), METRICS_MS);
    try {
      const outcome = await this.outcome();
      const verdict =
        this.claim.stage === "decide" && outcome.end === "done"
          ? verdictFrom(outcome.output.facts, this.claim.outputs)
          : undefined;
      const took = { stage: this.claim.stage, seconds: (performance.now() - this.began) / 1000 };
      await this.server.finish(job, epoch, outcome, verdict, took);
    } catch (error) {
      // Somebody else decides about the job by now.
      if (!isLeaseLost(error)) throw error;
    } finally {
      clearInterval(beats);
      clearInterval(measures);
      drain.removeEventListener("abort", onDrain);
      this.child.destroy();
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  /** How the stage ended: every word of it is with the server by then. */
  private async outcome(): Promise<Outcome> {
    try {
      await this.options.scratch.bring(this.claim, inputsOf(this.claim), this.folder, this.server);
      const made = await this.compute();
      this.tellMetrics(true);
      for (const event of made.events ?? []) this.tell(event);
      const output = await this.handOver(made);
      await this.queue.empty();
      return made.error === undefined ? { end: "done", output } : { end: "failed", error: made.error, output };
    } catch (cause) {
      if (this.stopped === "lost" || isLeaseLost(cause)) throw leaseLost(this.claim.job);
      const error = asBoosterError(this.queue.failure ?? cause);
      if (this.queue.failure === undefined) {
        this.tellMetrics(true);
        await this.queue.empty();
      }
      if (this.stopped !== undefined && error.code === "STOPPED") {
        return { end: this.stopped === "pause" ? "paused" : "released_lease" };
      }
      return { end: "failed", error: jobError(error) };
    }
  }

  private compute(): Promise<StageMade> {
    const { job, stage, spec, outputs, base } = this.claim;
    const { scratch, checkpointSeconds } = this.options;
    const input = { job, spec, outputs, base: base.identity, cache: scratch.cache, checkpointSeconds };
    if (this.stopped !== undefined) throw new BoosterError("STOPPED", "the stage was stopped before it began");
    return this.child.ask<StageMade>({ stage, folder: this.folder, input } satisfies StageTask, {
      emit: (event) => this.hear(event),
      signal: this.stop.signal,
    });
  }

  private hear(event: Event): void {
    if (event.type === "step") {
      this.step = event.step;
      this.totalSteps = event.totalSteps;
      this.secondsLeft = event.secondsLeft;
    }
    if (event.type !== "checkpoint" || event.step === 0) return;
    const { step, epochEnd, folder } = event;
    const laid = join(this.folder, folder);
    // Of those that serve to go on from only the newest is worth its way.
    this.queue.add(() => this.carry(step, epochEnd, laid), epochEnd ? undefined : "checkpoint");
  }

  /** Uploads a checkpoint file by file, its row last. */
  private async carry(step: number, epochEnd: boolean, laid: string): Promise<void> {
    const { job, epoch } = this.claim;
    const files: Record<string, string> = {};
    const names = readdirSync(laid, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const { parentPath, name } of names) {
      const path = join(parentPath, name);
      files[relative(laid, path)] = await this.server.writeBlob(job, epoch, path);
    }
    const { step: _, ...metrics } = lastIn(join(laid, "metrics.jsonl"));
    await this.server.checkpoint(job, epoch, { step, epochEnd, files, metrics });
    rmSync(laid, { recursive: true, force: true });
  }

  private async handOver({ facts, files, sealed = {} }: StageMade): Promise<StageOutput> {
    const { job, epoch } = this.claim;
    const blobs: Record<string, string> = {};
    for (const [name, path] of Object.entries({ ...files, ...sealed })) {
      blobs[name] = await this.server.writeBlob(job, epoch, join(this.folder, path), Object.hasOwn(sealed, name));
    }
    return { blobs, facts };
  }

  /** One at a time: a beat waits for a server that is away, and a second one would say no more. */
  private async beat(): Promise<void> {
    if (this.beating) return;
    this.beating = true;
    const { job, epoch } = this.claim;
    try {
      const { wish } = await this.server.beat(job, epoch, this.step, this.secondsLeft);
      if (wish === "lost") this.end("lost");
      if (wish === "pause" && this.stopped === undefined) this.end("pause");
    } catch (error) {
      if (isLeaseLost(error)) this.end("lost");
    } finally {
      this.beating = false;
    }
  }

  private tell(event: JobEvent): void {
    const { job, epoch } = this.claim;
    this.queue.add(() => this.server.event(job, epoch, event));
  }

  /** Sends the steps that came since the last time, with one event for the newest. */
  private tellMetrics(all: boolean): void {
    if (this.claim.stage !== "train") return;
    const { job, epoch } = this.claim;
    const rows = this.metrics.next(all);
    for (let start = 0; start < rows.length; start += METRIC_ROWS) {
      this.queue.add(() => this.server.metrics(job, epoch, rows.slice(start, start + METRIC_ROWS)));
    }
    const newest = rows.findLast(({ step }) => step > this.claim.step);
    if (newest === undefined) return;
    const { step, train_loss: loss } = newest;
    this.tell({
      level: "info",
      type: "metrics",
      message: `Step ${step}/${this.totalSteps}: training loss=${loss?.toFixed(2) ?? "none"}`,
      data: { ...newest, total_steps: this.totalSteps },
    });
  }
}

const leaseLost = (job: string) => new ServiceError("lease_lost", "the job is no longer this worker's", { where: job });

/** Values of the last step in a file of metrics. */
function lastIn(path: string): StepValues {
  return new MetricsTail(path).next(true).at(-1) ?? { step: 0 };
}

/** Does what was claimed, and tells the server how it ended. Throws what the server refuses. */
export const doPiece = (
  claim: Claim,
  server: WorkerProtocol,
  options: WorkOptions,
  drain: AbortSignal,
): Promise<void> => new Piece(claim, server, options).run(drain);
