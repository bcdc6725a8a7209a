import { costOf, type Exchange, type Judgement, type Moderator } from "../../evaluate/index.ts";
import { Child } from "../../train/index.ts";
import { sha256Of } from "../domain/canonical.ts";
import { LIMITS } from "../domain/limits.ts";
import { givenUp, ServiceError } from "../domain/service-error.ts";
import { moderatorOf } from "./moderator.ts";
import type { ModeratorTask } from "./moderator-child.ts";
import type { Policy } from "./policy.ts";

/** The compiled module that a model's process runs. */
const MODERATOR_CHILD = new URL("./moderator-child.js", import.meta.url);

/** Of the memory that is free: what a model takes must leave the server some, whatever it is asked. */
const SHARE = 0.9;

interface Waiting {
  readonly project: string;
  readonly key: string;
  readonly policy: Policy;
  readonly exchanges: readonly Exchange[];
  readonly signal: AbortSignal;
  resolve(judgements: readonly Judgement[]): void;
  reject(error: unknown): void;
}

/**
 * What moderators of policies say of texts while somebody waits for it. A rule is asked at once. A model computes in a process of its own, one request after the other, so that
 * nothing here waits for it; one model is loaded at a time.
 */
export class Moderators {
  private readonly rules = new Map<string, Moderator>();
  private model: { readonly key: string; readonly child: Child } | undefined;
  private readonly waiting = new Set<Waiting>();
  private isWorking = false;
  private idle: NodeJS.Timeout | undefined;

  /** @param memory bytes that a model's process may have, by default nearly all that are free when it begins; with more it is ended, and with it the request that it was at */
  constructor(
    private readonly module: URL | string = MODERATOR_CHILD,
    private readonly memory?: number,
  ) {}

  /**
   * One judgement per exchange, in order.
   *
   * @throws {ServiceError} `engine_overloaded`, `request_timeout` where `signal` is aborted
   * @throws {BoosterError} `MODERATOR_FILES`, what opening the moderator and judging throw, and what `Child.ask` throws
   */
  async judge(
    project: string,
    policy: Policy,
    exchanges: readonly Exchange[],
    signal: AbortSignal,
  ): Promise<readonly Judgement[]> {
    const key = sha256Of(JSON.stringify([policy.moderation.moderator, policy.moderatorFiles]));
    if (costOf(policy.moderation.moderator.name) !== "model") {
      const rule = this.rules.get(key) ?? (await moderatorOf(policy)).moderator;
      this.rules.set(key, rule);
      return rule.judge(exchanges, signal);
    }
    const own = [...this.waiting].filter((one) => one.project === project).length;
    if (this.waiting.size >= LIMITS.moderationsWaiting || own >= LIMITS.moderationsWaitingPerProject) {
      throw new ServiceError("engine_overloaded", "too many requests wait for the moderator", { retryAfter: 5 });
    }
    return new Promise((resolve, reject) => {
      const one = { project, key, policy, exchanges, signal, resolve, reject };
      this.waiting.add(one);
      // Whoever has left holds no place.
      signal.addEventListener("abort", () => this.waiting.delete(one) && reject(givenUp()), { once: true });
      void this.work();
    });
  }

  close(): void {
    clearTimeout(this.idle);
    this.model?.child.destroy();
    this.model = undefined;
  }

  private async work(): Promise<void> {
    if (this.isWorking) return;
    this.isWorking = true;
    clearTimeout(this.idle);
    for (const one of this.waiting) {
      await this.compute(one).then(one.resolve, one.reject);
      this.waiting.delete(one);
    }
    this.idle = setTimeout(() => this.close(), LIMITS.moderatorIdleSeconds * 1000).unref();
    this.isWorking = false;
  }

  private async compute(one: Waiting): Promise<readonly Judgement[]> {
    const { key, policy, exchanges, signal } = one;
    if (signal.aborted) throw givenUp();
    const before = this.model?.child;
    const child = await this.opened(key, policy);
    if (signal.aborted) throw givenUp();
    let begun = false;
    const emit = () => {
      begun = true;
    };
    try {
      return await child.ask({ judge: exchanges } satisfies ModeratorTask, { emit, signal }, "stop");
    } catch (error) {
      // One that was dying when it was asked has heard of nothing; its death had not been told yet.
      if (child !== before || begun || child.isAlive) throw error;
      return this.compute(one);
    }
  }

  /** It is opened for all who ask: whoever leaves meanwhile does not end it. */
  private async opened(key: string, policy: Policy): Promise<Child> {
    if (this.model?.key === key && this.model.child.isAlive) return this.model.child;
    this.close();
    const child = new Child(this.module, this.memory ?? SHARE * process.availableMemory());
    this.model = { key, child };
    await child.ask({ open: policy } satisfies ModeratorTask).catch((error: unknown) => {
      this.close();
      throw error;
    });
    return child;
  }
}
