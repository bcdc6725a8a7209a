/** What is told to webhooks when a job ends: written with the job's end or not at all, told by one server at a time, at least once, and not for ever. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { type Principal, SERVER } from "../../src/service/domain/principal.ts";
import { WEBHOOK_EVENTS } from "../../src/service/domain/webhook.ts";
import { Outbox } from "../../src/service/store/outbox.ts";
import { sweep } from "../../src/service/store/sweep.ts";
import { Turn } from "../../src/service/store/turns.ts";
import { reachOf } from "../../src/service/webhooks/address.ts";
import { Deliverer } from "../../src/service/webhooks/deliver.ts";
import { senderOf } from "../../src/service/webhooks/send.ts";
import { onBothDatabases } from "./databases.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { addBase, claimJob, done, newJob, newTenant, REVIEWER, silence, verdict, workUpTo } from "./things.ts";

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => receiver.close());
beforeEach(() => {
  receiver.answer = 200;
  receiver.received.length = 0;
});

onBothDatabases("webhooks", (kept) => {
  const store = () => kept().store;
  beforeAll(() => addBase(store()));

  const webhookOf = async (
    tenant: Principal | undefined,
    more: { readonly url?: string; readonly events?: object } = {},
  ) => {
    const { url = receiver.url, events = WEBHOOK_EVENTS } = more;
    const wanted = { project: tenant?.project, name: "a", url, events: events as typeof WEBHOOK_EVENTS };
    return (await store().webhooks.create(SERVER, wanted)).webhook;
  };
  const deliveriesOf = async (webhook: { readonly id: string }) =>
    (await store().webhooks.deliveries(SERVER, webhook.id, { limit: 50 })).data;
  /** A server's part in it, with a clock of its own. */
  function newServer() {
    const clock = { seconds: 0 };
    const outcomes: string[] = [];
    const errors: unknown[] = [];
    const { outbox, webhooks, context } = store();
    const turn = new Turn(context, Outbox.TURN, () => clock.seconds);
    const sender = senderOf({ reach: reachOf(["127.0.0.1"]), version: "1", now: context.now, seconds: 2 });
    const deliverer = new Deliverer({
      outbox,
      webhooks,
      turn,
      sender,
      onTry: (outcome) => outcomes.push(outcome),
      onError: (error) => errors.push(error),
    });
    return { clock, outcomes, errors, turn, deliverer };
  }
  /** All that is due is tried once. */
  async function tryOnce(): Promise<string[]> {
    const { deliverer, outcomes, errors } = newServer();
    await deliverer.look();
    await deliverer.stop();
    expect(errors).toEqual([]);
    return outcomes;
  }

  test("every way in which a job ends is told once; what does not end it, or is another project's, is not", async () => {
    const tenant = await newTenant(store());
    const [mine, all, other] = [
      await webhookOf(tenant),
      await webhookOf(undefined),
      await webhookOf(await newTenant(store())),
    ];
    const failures = await webhookOf(tenant, { events: ["fine_tuning.job.failed"] });
    const newOne = () => store().jobs.create(tenant, newJob());
    const told: [string, string][] = [];
    const decided = async (how: "released" | "held" | "rejected") => {
      const job = await newOne();
      const last = await workUpTo(store(), job, "decide");
      await store().leases.finish(job.id, last.epoch, done, verdict(how));
      return job;
    };
    told.push(["succeeded", (await decided("released")).id], ["failed", (await decided("rejected")).id]);
    for (const by of ["released", "rejected"] as const) {
      const held = await decided("held");
      expect((await deliveriesOf(mine)).map(({ job }) => job)).not.toContain(held.id);
      const { sha256 } = (await store().reviews.report(REVIEWER, held.id, true))!;
      await store().reviews.decide(REVIEWER, held.id, { verdict: by, reason: "read", report: sha256 });
      told.push([by === "released" ? "succeeded" : "failed", held.id]);
    }
    const forgotten = await decided("held");
    kept().time += 15 * 86_400;
    await store().reviews.expire();
    kept().time -= 15 * 86_400;
    told.push(["failed", forgotten.id]);
    const cancelled = await newOne();
    await store().jobs.pause(tenant, cancelled.id);
    await store().jobs.resume(tenant, cancelled.id);
    await store().jobs.cancel(tenant, cancelled.id);
    told.push(["cancelled", cancelled.id]);
    const broken = await newOne();
    const error = { code: "out_of_memory", message: "no memory", param: null } as const;
    await store().leases.finish(broken.id, (await claimJob(store(), broken))!.epoch, { end: "failed", error });
    told.push(["failed", broken.id]);
    const lost = await newOne();
    for (let crash = 0; crash < 3; crash++) {
      await claimJob(store(), lost);
      expect(await silence(store())).toContain(lost.id);
    }
    told.push(["failed", lost.id]);
    const expected = told.map(([how, job]) => `fine_tuning.job.${how} ${job}`);
    const seen = async (webhook: { readonly id: string }) =>
      (await deliveriesOf(webhook)).toReversed().map(({ type, job }) => `${type} ${job}`);
    expect(await seen(mine)).toEqual(expected);
    expect(await seen(other)).toEqual([]);
    expect(await seen(failures)).toEqual(expected.filter((one) => one.includes("failed")));
    expect((await seen(all)).filter((one) => expected.includes(one))).toEqual(expected);
    // One event has one id, whomever it is told.
    const ids = new Map((await deliveriesOf(mine)).map(({ job, event }) => [job, event]));
    for (const { job, event } of await deliveriesOf(failures)) expect(event).toBe(ids.get(job));
    expect(new Set(ids.values()).size).toBe(expected.length);
    await expect(
      store().context.db.transaction(async (sql) => {
        await sql.query("update jobs set stage = 'held', status = 'running' where id = $1", [lost.id]);
        await sql.query("update jobs set stage = 'done', status = 'failed' where id = $1", [lost.id]);
        throw new Error("undone");
      }),
    ).rejects.toThrow("undone");
    expect(await seen(mine)).toEqual(expected);
    const before = await newOne();
    for (const one of [mine, all, other, failures]) await store().webhooks.remove(SERVER, one.id);
    await store().jobs.cancel(tenant, before.id);
    expect(await store().context.db.query("select 1 from outbox")).toEqual([]);
  });

  async function cancelOne(tenant: Principal): Promise<string> {
    const { id } = await store().jobs.create(tenant, newJob());
    await store().jobs.cancel(tenant, id);
    return id;
  }

  test("a receiver that is down is tried again with growing pauses until it answers, under the same id", async () => {
    const tenant = await newTenant(store());
    const webhook = await webhookOf(tenant);
    const job = await cancelOne(tenant);
    receiver.answer = 503;
    expect(await tryOnce()).toEqual(["refused"]);
    expect(await tryOnce()).toEqual([]);
    kept().time += LIMITS.webhookRetrySeconds[0];
    expect(await tryOnce()).toEqual(["refused"]);
    kept().time += LIMITS.webhookRetrySeconds[1] - 1;
    expect(await tryOnce()).toEqual([]);
    kept().time += 1;
    receiver.answer = 200;
    expect(await tryOnce()).toEqual(["delivered"]);
    const [delivery] = await deliveriesOf(webhook);
    expect(delivery).toMatchObject({ state: "delivered", tries: 3, outcome: "delivered", status: 200, nextTry: null });
    expect(new Set(receiver.received.map(({ headers, body }) => `${headers["webhook-id"]} ${body}`)).size).toBe(1);
    expect(JSON.parse(receiver.received[0]!.body)).toEqual({
      id: delivery!.event,
      object: "event",
      type: "fine_tuning.job.cancelled",
      created_at: delivery!.createdAt,
      data: { id: job },
    });
    await store().webhooks.remove(SERVER, webhook.id);
  });

  test("it is given up in the end; one that is gone is told nothing any more", async () => {
    const tenant = await newTenant(store());
    const webhook = await webhookOf(tenant);
    await cancelOne(tenant);
    receiver.answer = 500;
    for (const wait of LIMITS.webhookRetrySeconds) {
      expect(await tryOnce()).toEqual(["refused"]);
      kept().time += wait;
    }
    expect(await tryOnce()).toEqual(["refused"]);
    expect((await deliveriesOf(webhook))[0]).toMatchObject({ state: "given_up", tries: 10, nextTry: null });
    kept().time += 10 * 86_400;
    expect(await tryOnce()).toEqual([]);
    receiver.answer = 410;
    for (let i = 0; i < 5; i++) await cancelOne(tenant);
    expect(new Set(await tryOnce())).toEqual(new Set(["gone"]));
    expect((await store().webhooks.get(SERVER, webhook.id))?.state).toBe("gone");
    expect(new Set((await deliveriesOf(webhook)).map(({ state }) => state))).toEqual(new Set(["given_up"]));
    await cancelOne(tenant);
    expect(await tryOnce()).toEqual([]);
    expect(await deliveriesOf(webhook)).toHaveLength(6);
    kept().time += LIMITS.deliveriesKeptSeconds + 1;
    await sweep(store());
    expect(await deliveriesOf(webhook)).toEqual([]);
    await store().webhooks.remove(SERVER, webhook.id);
  });

  test("a slow receiver keeps no other waiting, and an address inside is not asked", async () => {
    const tenant = await newTenant(store());
    const slow = await startReceiver();
    slow.answer = () => undefined;
    const webhooks = [
      await webhookOf(tenant, { url: slow.url }),
      await webhookOf(tenant, { url: `https://127.0.0.2:${receiver.port}/` }),
      await webhookOf(tenant),
    ];
    for (let i = 0; i < 6; i++) await cancelOne(tenant);
    const { deliverer, outcomes } = newServer();
    await deliverer.look();
    await until(() => receiver.received.length === 4);
    await deliverer.look();
    await until(() => receiver.received.length === 6);
    expect(slow.received.length).toBeLessThanOrEqual(LIMITS.webhooksAtOncePerReceiver);
    await deliverer.stop();
    const count = (outcome: string) => outcomes.filter((one) => one === outcome).length;
    expect([count("delivered"), count("timeout")]).toEqual([6, 4]);
    expect(count("forbidden")).toBeGreaterThan(0);
    for (const { id } of webhooks) await store().webhooks.remove(SERVER, id);
    await slow.close();
  });

  test("of several servers one tells; another goes on at once after a stop, after a lease where it died, and what the dead one says later does not count", async () => {
    const tenant = await newTenant(store());
    const webhook = await webhookOf(tenant);
    const [a, b] = [newServer(), newServer()];
    await a.deliverer.look();
    const first = await cancelOne(tenant);
    await b.deliverer.look();
    expect(receiver.received).toEqual([]);
    // A tells it, and dies before it has noted that.
    const epoch = (await a.turn.look())!;
    const [due] = await store().outbox.due();
    await b.deliverer.look();
    for (const seconds of [10, 20, 29]) {
      b.clock.seconds = seconds;
      await b.deliverer.look();
    }
    expect(receiver.received).toEqual([]);
    b.clock.seconds = 31;
    await b.deliverer.look();
    await until(() => b.outcomes.length === 1);
    expect(receiver.received.map(({ body }) => JSON.parse(body).data.id)).toEqual([first]);
    await until(async () => (await deliveriesOf(webhook))[0]?.state === "delivered");
    await cancelOne(tenant);
    const [next] = await store().outbox.due();
    await store().outbox.tried(epoch, next!, { outcome: "delivered", status: 200 });
    await store().outbox.tried(epoch, due!, { outcome: "refused", status: 500 });
    expect((await deliveriesOf(webhook)).map(({ state, tries }) => [state, tries])).toEqual([
      ["waiting", 0],
      ["delivered", 1],
    ]);
    await a.deliverer.look();
    expect(await a.turn.look()).toBeUndefined();
    await b.deliverer.stop();
    await a.deliverer.look();
    await a.deliverer.stop();
    expect(a.outcomes).toEqual(["delivered"]);
    await store().webhooks.remove(SERVER, webhook.id);
  });

  test("ten servers that begin at once: one has the turn", async () => {
    const servers = Array.from({ length: 10 }, newServer);
    const turns = await Promise.all(servers.map(({ turn }) => turn.look()));
    expect(turns.filter((epoch) => epoch !== undefined)).toHaveLength(1);
    await Promise.all(servers.map(({ turn }) => turn.end()));
  });
});

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 500) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
