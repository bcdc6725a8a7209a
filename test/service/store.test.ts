import { beforeAll, expect, test } from "vitest";
import { SERVER } from "../../src/service/domain/principal.ts";
import { bundledPolicy } from "../../src/service/pipeline/policy-file.ts";
import { setUpBase } from "../../src/service/set-up-base.ts";
import { setUpPolicy, setUpProject } from "../../src/service/setup.ts";
import type { Page, PageAsk } from "../../src/service/store/context.ts";
import type { Store } from "../../src/service/store/store.ts";
import { onBothDatabases } from "./databases.ts";
import { addBase, done, newJob, newTenant, REVIEWER, verdict, workUpTo } from "./things.ts";

onBothDatabases("what the service keeps", (kept) => {
  const store = () => kept().store;
  beforeAll(async () => {
    await addBase(store());
  });

  test("a key is found by what was shown once, until it is revoked, rotated or out of time", async () => {
    const { store, time } = kept();
    const tenant = await newTenant(store);
    const wanted = { kind: "project", project: tenant.project, name: "a", scopes: ["infer"], owner: "me" } as const;
    const { key, presented } = await store.keys.create(SERVER, { ...wanted, expiresAt: time + 10 });
    expect(await store.keys.find(presented)).toEqual({
      principal: { key: key.id, kind: "project", project: tenant.project, scopes: ["infer"], owner: "me" },
    });
    const [head, secret] = [presented.slice(0, 22), presented.slice(22)];
    const other = head + (secret.startsWith("A") ? "B" : "A") + secret.slice(1);
    expect(await store.keys.find(other)).toEqual({ refused: "invalid" });
    const rotated = await store.keys.rotate(SERVER, key.id);
    expect(await store.keys.find(presented)).toEqual({ refused: "revoked" });
    expect(await store.keys.find(rotated?.presented as string)).toMatchObject({ principal: { owner: "me" } });
    kept().time += 10;
    expect(await store.keys.find(rotated?.presented as string)).toEqual({ refused: "expired" });
    kept().time -= 10;
    const listed = await store.keys.list(tenant, { limit: 10 });
    expect(listed.data.map((one) => one.id)).toEqual([rotated?.key.id, key.id]);
    expect(JSON.stringify(listed)).not.toContain(secret);
  });

  test("files are listed newest first, by cursor, to their project alone", async () => {
    const [mine, theirs] = [await newTenant(store()), await newTenant(store())];
    const file = { sha256: "a".repeat(64), bytes: 3, filename: "x.jsonl", purpose: "fine-tune" };
    const files = [];
    for (let i = 0; i < 5; i++) files.push(await store().files.create(mine, file));
    const first = await store().files.list(mine, { limit: 2 });
    expect(first).toEqual({ data: [files[4], files[3]], hasMore: true });
    expect(await store().files.delete(mine, files[3]!.id)).toBe(true);
    const rest = await store().files.list(mine, { limit: 9, after: files[3]!.id });
    expect(rest).toEqual({ data: [files[2], files[1], files[0]], hasMore: false });
    expect(await store().files.get(theirs, files[0]!.id)).toBeUndefined();
    expect((await store().files.list(theirs, { limit: 9 })).data).toEqual([]);
    expect(await store().files.delete(theirs, files[0]!.id)).toBe(false);
    await expect(store().files.list(theirs, { limit: 9, after: files[0]!.id })).rejects.toThrow("no item of this id");
    await expect(store().files.create(mine, { ...file, bytes: 50 * 2 ** 30 })).rejects.toThrow("no room for more");
  });

  test("a job is worked on stage by stage to a released model", async () => {
    const tenant = await newTenant(store());
    const job = await store().jobs.create(tenant, newJob());
    expect(job).toMatchObject({ status: "validating_files", stage: "validate", epoch: 0 });
    const training = await workUpTo(store(), job, "train");
    expect(await store().jobs.get(tenant, job.id)).toMatchObject({ status: "running", stage: "train" });
    await store().leases.metrics(job.id, training.epoch, [
      { step: 1, train_loss: 2 },
      { step: 2, train_loss: 1, learning_rate: 0.5 },
    ]);
    await store().leases.finish(job.id, training.epoch, done);
    const evaluation = await workUpTo(store(), job, "evaluate");
    const hs = { count: 1, total: 150 };
    const facts = { before: { count: 0, total: 150 }, plain: { harmful: hs, overRefusal: { count: 9, total: 150 } } };
    await store().leases.finish(job.id, evaluation.epoch, { end: "done", output: { blobs: {}, facts } });
    expect(await store().models.resolve(tenant, job.publishAs)).toEqual({ state: "unreleased", job: job.id });
    const last = await workUpTo(store(), job, "decide");
    await store().leases.finish(job.id, last.epoch, done, verdict("released"));
    const after = await store().jobs.get(tenant, job.id);
    expect(after).toMatchObject({ status: "succeeded", stage: "done", fineTunedModel: job.publishAs, error: null });
    expect(await store().models.resolve(tenant, job.publishAs)).toMatchObject({
      state: "released",
      model: { facts: { hs } },
    });
    expect(await store().models.resolve(await newTenant(store()), job.publishAs)).toBeUndefined();
    const result = await store().files.get(tenant, after?.resultFiles[0] as string);
    const lines: Buffer[] = [];
    for await (const part of await store().blobs.open(result?.sha256 as string)) lines.push(part as Buffer);
    expect(Buffer.concat(lines).toString()).toBe(
      "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy,full_valid_loss,full_valid_mean_token_accuracy,learning_rate,skipped\n1,2,,,,,,,\n2,1,,,,,,0.5,\n",
    );
    const events = await store().records.events(tenant, job.id, { limit: 100, order: "asc" });
    expect(events.data.map((event) => event.seq)).toEqual(events.data.map((_, i) => i + 1));
    const report = await store().reviews.report(tenant, job.id);
    expect(report).toMatchObject({ body: '{"of":"test"}', signedBy: store().secrets.keyId });
  });

  test("a pause that is taken back while the worker saves is none", async () => {
    const tenant = await newTenant(store());
    const job = await store().jobs.create(tenant, newJob());
    const { epoch } = await workUpTo(store(), job, "train");
    await store().jobs.pause(tenant, job.id);
    expect(await store().leases.beat(job.id, epoch, 1)).toEqual({ wish: "pause" });
    await store().jobs.resume(tenant, job.id);
    await store().leases.finish(job.id, epoch, { end: "paused" });
    expect(await store().jobs.get(tenant, job.id)).toMatchObject({ status: "queued", stage: "train" });
    const again = await workUpTo(store(), job, "train");
    await store().jobs.pause(tenant, job.id);
    await store().leases.finish(job.id, again.epoch, { end: "paused" });
    expect(await store().jobs.get(tenant, job.id)).toMatchObject({ status: "paused", worker: null });
    await store().jobs.cancel(tenant, job.id);
  });

  test("a held job waits for a reviewer", async () => {
    const tenant = await newTenant(store());
    const job = await store().jobs.create(tenant, newJob());
    const last = await workUpTo(store(), job, "decide");
    await store().leases.finish(job.id, last.epoch, done, verdict("held"));
    expect(await store().jobs.get(tenant, job.id)).toMatchObject({ status: "running", stage: "held" });
    const held = await store().reviews.held(REVIEWER, { limit: 100 });
    expect(held.data.map((one) => one.id)).toContain(job.id);
    const report = await store().reviews.report(REVIEWER, job.id, true);
    const decided = await store().reviews.decide(REVIEWER, job.id, {
      verdict: "released",
      reason: "read it",
      report: report?.sha256 as string,
    });
    expect(decided).toMatchObject({ status: "succeeded", fineTunedModel: job.publishAs });
  });

  test("what goes on from a withdrawn model is not released, even if the model is deleted meanwhile", async () => {
    const tenant = await newTenant(store());
    const ended = async (lineage: readonly string[] = [], of: "released" | "held" = "released") => {
      const wanted = newJob();
      const spec = { ...wanted.spec, lineage: lineage.map((job) => ({ job, flagged: 0, rows: 10 })) };
      const job = await store().jobs.create(tenant, { ...wanted, spec });
      const last = await workUpTo(store(), job, "decide");
      await store().leases.finish(job.id, last.epoch, done, verdict(of));
      return (await store().jobs.get(tenant, job.id))!;
    };
    const [bad, good, late] = [await ended(), await ended(), await ended()];
    await store().models.withdraw(REVIEWER, bad.publishAs, "a test");
    for (const { publishAs } of [bad, good, late]) expect(await store().models.delete(tenant, publishAs)).toBe(true);
    // Whoever deletes first is marked all the same.
    expect(await store().models.withdraw(REVIEWER, late.publishAs, "a test")).toBe(true);
    expect(await store().models.withdraw(REVIEWER, late.publishAs, "again")).toBe(false);
    for (const { id } of [bad, late]) {
      expect(await ended([id])).toMatchObject({ status: "failed", error: { code: "safety_rejected" } });
    }
    expect(await ended([good.id])).toMatchObject({ status: "succeeded" });
    const held = await ended([bad.id], "held");
    const report = (await store().reviews.report(REVIEWER, held.id, true))!.sha256;
    await expect(
      store().reviews.decide(REVIEWER, held.id, { verdict: "released", reason: "x", report }),
    ).rejects.toMatchObject({ code: "policy_violation" });
  });

  test("every list goes on behind a cursor, oldest or newest first", async () => {
    const tenant = await newTenant(store());
    const jobs: string[] = [];
    for (const metadata of [{ a: "1" }, { a: "1", b: "2" }, undefined]) {
      jobs.push((await store().jobs.create(tenant, newJob({ metadata }))).id);
    }
    const ids = async (ask: Partial<Parameters<Store["jobs"]["list"]>[1]>) =>
      (await store().jobs.list(tenant, { limit: 9, ...ask })).data.map((job) => job.id);
    expect(await ids({})).toEqual([jobs[2], jobs[1], jobs[0]]);
    expect(await ids({ after: jobs[2] })).toEqual([jobs[1], jobs[0]]);
    expect(await ids({ after: jobs[0], order: "asc" })).toEqual([jobs[1], jobs[2]]);
    expect(await ids({ metadata: { a: "1" } })).toEqual([jobs[1], jobs[0]]);
    expect(await ids({ metadata: { a: "1", b: "2" } })).toEqual([jobs[1]]);
    expect(await ids({ metadata: null })).toEqual([jobs[2]]);
    const after = async <T extends { readonly id: string }>(list: (ask: PageAsk) => Promise<Page<T>>) => {
      const first = await list({ limit: 1 });
      return list({ limit: 1, after: first.data[0]?.id });
    };
    await expect(after((ask) => store().audit.list(SERVER, ask))).resolves.toMatchObject({ data: [{}] });
    await expect(after((ask) => store().projects.list(SERVER, ask))).resolves.toMatchObject({ data: [{}] });
    await expect(after((ask) => store().records.events(tenant, jobs[0]!, ask))).resolves.toMatchObject({ data: [] });
    await expect(store().records.checkpoints(tenant, jobs[0]!, { limit: 1 })).resolves.toMatchObject({ data: [] });
    await expect(store().models.list(tenant, { limit: 1 })).resolves.toMatchObject({ data: [] });
    await expect(store().models.grants("x", { limit: 1 })).resolves.toMatchObject({ data: [] });
    await expect(store().records.eventsSince(tenant, { [jobs[0]!]: 0, [jobs[1]!]: 1 }, 9)).resolves.toMatchObject([
      { job: jobs[0], seq: 1 },
    ]);
  });

  test("a restart changes neither the policies nor the bases that owners have set since", async () => {
    const start = async (policy?: string) => setUpProject(store(), await setUpPolicy(store(), policy));
    const { project } = await start();
    const of = async () => (await store().projects.get(SERVER, project))?.policy;
    expect([await of(), (await store().policies.current("default"))?.version]).toEqual(["default", 1]);
    await store().policies.set(SERVER, "default", { stricter: true });
    await store().policies.set(SERVER, "strict", { stricter: true });
    await store().projects.update(SERVER, project, { policy: "strict" });
    await start();
    expect([await of(), (await store().policies.current("default"))?.version]).toEqual(["strict", 2]);
    // What is named at the start counts.
    await start(bundledPolicy());
    expect([await of(), (await store().policies.current("default"))?.version]).toEqual(["default", 3]);
    const { name, identity } = (await store().bases.get("world-booster"))!;
    await store().bases.retire(SERVER, name);
    const stopped = AbortSignal.abort();
    expect((await setUpBase(store(), kept().data, "world-booster", { signal: stopped })).state).toBe("retired");
    expect((await store().bases.add(SERVER, { name, identity, files: {}, facts: {} }))?.state).toBe("retired");
  });

  test("a project keeps its name: no other one can take it", async () => {
    const [one, other] = [await store().projects.create(SERVER, "one"), await store().projects.create(SERVER, "other")];
    await expect(store().projects.update(SERVER, other.id, { name: "one" })).rejects.toMatchObject({
      code: "invalid_value",
      details: { param: "name" },
    });
    expect((await store().projects.update(SERVER, one.id, { name: "one" }))?.name).toBe("one");
  });
});
