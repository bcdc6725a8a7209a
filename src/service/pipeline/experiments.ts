import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { BoosterError } from "../../errors.ts";
import { PLAN_FILE } from "../../experiments/kept-plan.ts";
import { Child } from "../../train/index.ts";
import { lately } from "../domain/lately.ts";
import { LIMITS } from "../domain/limits.ts";
import type { ExperimentTask, Look } from "./experiment-child.ts";

/** The compiled module that looks and draws. */
const EXPERIMENT_CHILD = new URL("./experiment-child.js", import.meta.url);
const RESULT = "result.json";
/** How old what is told of the folder may be: each open page asks. */
const LOOK_SECONDS = 2;
/** How long the process that draws is kept without work. */
const IDLE_SECONDS = 60;
/** Reports that are kept as they were drawn. */
const KEPT = 8;

/** An experiment in the server's folder. */
export interface Experiment {
  /** Its folder's name. */
  readonly id: string;
  readonly state: "finished" | "running" | "stopped" | "unreadable";
  /** Seconds since 1970: of its result, or of what it came to last. */
  readonly changedAt: number;
  /** Of its result, where that is there. */
  readonly bytes: number | undefined;
  /** How far it is, where it is not finished. */
  readonly look: Look | undefined;
  /** Changes with the report. */
  readonly version: string;
}

/** Experiments in a folder: which there are, how far they are, and their reports. What takes long is done in a process of its own, one thing after the other. */
export class Experiments {
  private child: Child | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private idle: NodeJS.Timeout | undefined;
  private readonly drawn = new Map<string, { readonly version: string; readonly html: Promise<string | undefined> }>();

  constructor(
    private readonly folder: string | undefined,
    private readonly module: URL | string = EXPERIMENT_CHILD,
  ) {}

  /** All of them, the newest first. @throws {BoosterError} what `Child.ask` throws */
  readonly list = lately(LOOK_SECONDS, async (): Promise<readonly Experiment[]> => {
    const names = this.folder === undefined ? [] : await readdir(this.folder).catch(() => []);
    const all = await Promise.all(names.map((id) => this.lookAt(id)));
    return all.flat().sort((a, b) => b.changedAt - a.changedAt);
  });

  /**
   * Its report, drawn once for each thing that it says; undefined before there is something to report.
   *
   * @throws {BoosterError} `RESULT_INVALID`, also for one that is too large, and what `Child.ask` throws
   */
  report({ id, state, bytes, version }: Experiment): Promise<string | undefined> {
    const known = this.drawn.get(id);
    if (known?.version === version) return known.html;
    if (state === "finished" && bytes !== undefined && bytes > LIMITS.experimentBytes) throw tooLarge(id, bytes);
    const folder = join(this.folder!, id);
    const html = this.ask<string | undefined>(state === "finished" ? { drawResult: folder } : { draw: folder });
    this.drawn.delete(id);
    this.drawn.set(id, { version, html });
    html.catch(() => this.drawn.delete(id));
    if (this.drawn.size > KEPT) this.drawn.delete(this.drawn.keys().next().value!);
    return html;
  }

  close(): void {
    clearTimeout(this.idle);
    this.child?.destroy();
    this.child = undefined;
  }

  private async lookAt(id: string): Promise<Experiment[]> {
    const of = async (name: string) => {
      const facts = await stat(join(this.folder!, id, name)).catch(() => undefined);
      return facts?.isFile() === true ? { at: facts.mtimeMs, bytes: facts.size } : undefined;
    };
    const [result, plan, time] = await Promise.all([of(RESULT), of(PLAN_FILE), of("wall-time.json")]);
    if (result === undefined && plan === undefined) return [];
    const seconds = (...times: (number | undefined)[]): number =>
      Math.floor(Math.max(...times.map((at) => at ?? 0)) / 1000);
    // One that was made longer after its end has a newer plan, and is not finished any more.
    if (result !== undefined && result.at >= (plan?.at ?? 0)) {
      const { at, bytes } = result;
      return [{ id, state: "finished", changedAt: seconds(at), bytes, look: undefined, version: `${at} ${bytes}` }];
    }
    const about = { id, changedAt: seconds(plan?.at, time?.at), bytes: undefined };
    try {
      const look = await this.ask<Look>({ look: join(this.folder!, id) });
      return [{ ...about, state: look.isRunning ? "running" : "stopped", look, version: look.version }];
    } catch (error) {
      if (!(error instanceof BoosterError) || error.kind !== "data") throw error;
      return [{ ...about, state: "unreadable", look: undefined, version: "" }];
    }
  }

  private ask<Reply>(task: ExperimentTask): Promise<Reply> {
    const reply = this.turn.then(async () => {
      clearTimeout(this.idle);
      if (this.child?.isAlive !== true) this.child = new Child(this.module);
      try {
        return await this.child.ask<Reply>(task);
      } finally {
        this.idle = setTimeout(() => this.close(), IDLE_SECONDS * 1000).unref();
      }
    });
    this.turn = reply.catch(() => undefined);
    return reply;
  }
}

const tooLarge = (id: string, bytes: number): BoosterError =>
  new BoosterError("RESULT_INVALID", "the result is too large to be shown", {
    expected: `at most ${LIMITS.experimentBytes} bytes`,
    found: String(bytes),
    where: join(id, RESULT),
  });
