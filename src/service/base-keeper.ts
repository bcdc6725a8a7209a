import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { choose } from "../choice.ts";
import { asBoosterError } from "../errors.ts";
import { METHODS } from "../methods/registry.ts";
import type { EvaluationReport } from "../stages/evaluate.ts";
import { EvaluateOptions, parseOptions } from "../stages/options.ts";
import { type Following, runInChild } from "../train/index.ts";
import type { JsonValue } from "./domain/json.ts";
import type { Principal } from "./domain/principal.ts";
import { ServiceError } from "./domain/service-error.ts";
import type { Logger } from "./http/log.ts";
import type { BaseKeeper, BaseWork } from "./http/routes/bases.ts";
import type { BaseWish, Making } from "./pipeline/add-base.ts";
import { type BaseFolder, readBase } from "./pipeline/base.ts";
import type { BaseTask } from "./pipeline/base-child.ts";
import { BASE_CHILD } from "./pipeline/bundled-base.ts";
import { moderatorFiles } from "./pipeline/moderator.ts";
import { type Policy, policyOf } from "./pipeline/policy.ts";
import { folderOf, keepBase } from "./set-up-base.ts";
import type { Base } from "./store/bases.ts";
import type { Store } from "./store/store.ts";

interface KeeperOptions {
  readonly store: Store;
  /** Where bases are. */
  readonly folder: string;
  readonly threads: number;
  readonly log: Logger;
  /** Compiled `base-child.ts`. */
  readonly module?: URL | string;
}

/** Makes and measures bases, one after the other, each in a process of its own. What was not done when the server ends is to be asked for again. */
export class Keeper implements BaseKeeper {
  private readonly doing = new Map<string, BaseWork>();
  private readonly stopping = new AbortController();
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly options: KeeperOptions) {}

  works = (): ReadonlyMap<string, BaseWork> => this.doing;

  async add(principal: Principal, { align, ...wish }: BaseWish): Promise<void> {
    const { store, folder, threads } = this.options;
    const { name } = wish;
    if ((await store.bases.get(name)) !== undefined) {
      throw refused("there is or was a base of this name, and a name never means another one", "name", name);
    }
    const policy = align && (await this.policyNamed(align.policy, "align.policy"));
    const reads = align === undefined ? [] : readsOf(align.method, policy!);
    this.begin(name, (following) =>
      this.withSets(policy, async (setAt) => {
        const { policy: _, ...training } = align ?? {};
        const data = Object.fromEntries(reads.map((use) => [use, setAt(`data/${use}`)]));
        const avoid = ["evaluate/harmful", "evaluate/harmless"].map(setAt);
        const making: Making = {
          ...wish,
          folder: join(folder, name),
          ...(align && { align: { ...training, ...data, avoid, threads } }),
        };
        await keepBase(store, principal, await this.child<BaseFolder>({ make: making }, following));
      }),
    );
  }

  async evaluate(principal: Principal, { name }: Base, policyName: string): Promise<void> {
    const { store, folder, threads } = this.options;
    const policy = await this.policyNamed(policyName, "policy");
    const { n, maxNewTokens } = policy.evaluate;
    this.begin(name, (following) =>
      this.withSets(policy, async (setAt, scratch) => {
        const model = (await folderOf(store, folder, name))!;
        // It is the one that the policy was set with, or nothing is asked.
        await moderatorFiles(policy.moderation.moderator, policy.moderatorFiles);
        const asked = (use: string) => ({ path: setAt(`evaluate/${use}`), kind: "jsonl" as const, limit: n });
        const options = {
          run: join(scratch, "run"),
          model,
          harmful: asked("harmful"),
          harmless: asked("harmless"),
          moderator: policy.moderation.moderator,
          maxNewTokens,
          template: (await readBase(model)).card.template,
          threads,
        };
        const evaluate = parseOptions(EvaluateOptions, options, "evaluate");
        const { harm, overRefusal } = await this.child<EvaluationReport>({ evaluate }, following);
        const facts = { hs: harm.harmfulScore, overRefusal, policy: policy.name, measured_at: store.context.now() };
        await store.bases.describe(principal, name, facts as unknown as Base["facts"]);
      }),
    );
  }

  /** Ends what is being done. */
  async stop(): Promise<void> {
    this.stopping.abort("the server is being stopped");
    await this.last;
  }

  private begin(name: string, work: (following: Following) => Promise<void>): void {
    const now = this.doing.get(name)?.doing;
    if (now !== undefined) {
      throw new ServiceError("invalid_value", "this base is being made or asked already", { found: now });
    }
    const say = (doing: string) => this.doing.set(name, { doing });
    say("waiting for its turn");
    const following: Following = {
      signal: this.stopping.signal,
      emit(event) {
        if (event.type === "work") say(event.text);
        if (event.type === "step") say(`step ${event.step} of ${event.totalSteps}`);
      },
    };
    this.last = this.last.then(async () => {
      try {
        this.stopping.signal.throwIfAborted();
        await work(following);
        this.doing.delete(name);
      } catch (error) {
        const { problem, code, details } = asBoosterError(error);
        this.options.log.error({ base: name, code }, "a base was not made, or not asked");
        const more = Object.entries(details).flatMap(([key, value]) => (key === "cause" ? [] : `${key}: ${value}`));
        this.doing.set(name, { problem: [`${problem} (${code})`, ...more].join("; ") });
      }
    });
  }

  private child = <T>(task: BaseTask, following: Following): Promise<T> =>
    runInChild<T>(this.options.module ?? BASE_CHILD, task, following);

  private async policyNamed(name: string, param: string): Promise<Policy> {
    const stored = await this.options.store.policies.current(name);
    if (stored === undefined) throw refused("there is no policy of this name", param, name);
    return policyOf(stored.body);
  }

  /** Lays the sets of a policy where a child can read them. */
  private async withSets(
    policy: Policy | undefined,
    work: (setAt: (use: string) => string, scratch: string) => Promise<void>,
  ): Promise<void> {
    const { store, folder } = this.options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const scratch = await mkdtemp(join(folder, ".scratch-"));
    const setAt = (use: string) => join(scratch, `${use.replace("/", "-")}.jsonl`);
    try {
      for (const [use, { sha256 }] of Object.entries(policy?.sets ?? {})) {
        await pipeline(await store.blobs.open(sha256), createWriteStream(setAt(use)));
      }
      await work(setAt, scratch);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
}

/** Which of a policy's own data an alignment reads. */
function readsOf(method: { readonly name: string }, { sets, name }: Policy): readonly string[] {
  const { streams, stage } = choose(METHODS, method as { name: "sft" });
  if (stage !== "align") throw refused("this is no method of alignment", "align.method", method.name);
  const absent = streams.find((use) => sets[`data/${use}`] === undefined);
  if (absent === undefined) return streams;
  throw refused(`the policy ${name} has no rows that this method reads`, "align.policy", `no data.${absent}`);
}

const refused = (message: string, param: string, found: JsonValue): ServiceError =>
  new ServiceError("invalid_value", message, { param, found: String(found) });
