import type { Exchange, Judgement, Moderator } from "../../evaluate/index.ts";
import { Child } from "../../train/index.ts";
import { sha256Of } from "../domain/canonical.ts";
import { ServiceError } from "../domain/service-error.ts";
import { moderatorOf } from "./moderator.ts";
import type { ModeratorTask } from "./moderator-child.ts";
import type { Policy } from "./policy.ts";

/** The compiled module that a model's process runs. */
const MODERATOR_CHILD = new URL("./moderator-child.js", import.meta.url);

/** Those that are models themselves. */
const MODELS: readonly string[] = ["beaver-dam", "llama-guard", "sequence-classifier"] satisfies readonly Chosen[];
type Chosen = Policy["moderation"]["moderator"]["name"];

/** Requests that wait for a model. */
const MOST_WAITING = 32;
/** A model that nobody asks for so long gives its memory back. */
const IDLE_MS = 10 * 60_000;

/**
 * What moderators of policies say of texts while somebody waits for it. A rule is asked at once. A model computes in a process of its own, one request after the other, so that
 * nothing here waits for it; one model is loaded at a time.
 */
export class Moderators {
  private readonly rules = new Map<string, Moderator>();
  private model: { readonly key: string; readonly child: Child } | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private idle: NodeJS.Timeout | undefined;

  constructor(private readonly module: URL | string = MODERATOR_CHILD) {}

  /**
   * One judgement per exchange, in order.
   *
   * @throws {ServiceError} `engine_overloaded`
   * @throws {BoosterError} `MODERATOR_FILES`, `STOPPED` where `signal` is aborted, what opening the moderator and judging throw, and what `Child.ask` throws
   */
  async judge(policy: Policy, exchanges: readonly Exchange[], signal: AbortSignal): Promise<readonly Judgement[]> {
    const key = sha256Of(JSON.stringify([policy.moderation.moderator, policy.moderatorFiles]));
    if (!MODELS.includes(policy.moderation.moderator.name)) {
      const rule = this.rules.get(key) ?? (await moderatorOf(policy)).moderator;
      this.rules.set(key, rule);
      return rule.judge(exchanges, signal);
    }
    if (this.waiting >= MOST_WAITING) {
      throw new ServiceError("engine_overloaded", "too many requests wait for the moderator", { retryAfter: 5 });
    }
    this.waiting++;
    const judged = this.last.then(() => this.compute(key, policy, exchanges, signal)).finally(() => this.waiting--);
    this.last = judged.catch(() => undefined);
    return judged;
  }

  close(): void {
    clearTimeout(this.idle);
    this.model?.child.destroy();
    this.model = undefined;
  }

  private async compute(
    key: string,
    policy: Policy,
    judge: readonly Exchange[],
    signal: AbortSignal,
  ): Promise<readonly Judgement[]> {
    // Whoever waited and has left is owed nothing.
    if (signal.aborted) throw new ServiceError("request_timeout", "the request was given up");
    clearTimeout(this.idle);
    try {
      const child = await this.opened(key, policy);
      return await child.ask<readonly Judgement[]>({ judge } satisfies ModeratorTask, { signal });
    } finally {
      if (this.model?.child.isAlive === false) this.close();
      this.idle = setTimeout(() => this.close(), IDLE_MS).unref();
    }
  }

  /** It is opened for all who ask, so whoever leaves meanwhile does not end it. */
  private async opened(key: string, policy: Policy): Promise<Child> {
    if (this.model?.key === key) return this.model.child;
    this.close();
    const child = new Child(this.module);
    this.model = { key, child };
    try {
      await child.ask({ open: policy } satisfies ModeratorTask);
      return child;
    } catch (error) {
      this.close();
      throw error;
    }
  }
}
