import { beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../src/service/domain/limits.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { onBothDatabases } from "./databases.ts";
import { addBase, newJob, newTenant, worker } from "./things.ts";

onBothDatabases("claims", (kept) => {
  const store = () => kept().store;
  beforeAll(() => addBase(store()));

  test("of many workers that ask at once no more than a project's share are given its jobs", async () => {
    const tenant = await newTenant(store());
    for (let i = 0; i < 4 * LIMITS.jobsRunning; i++) await store().jobs.create(tenant, newJob());
    const asked = Array.from({ length: 3 * LIMITS.jobsRunning }, (_, i) =>
      store().leases.claim(worker(`at once ${i}`)),
    );
    const claims = (await Promise.all(asked)).filter((claim) => claim !== undefined);
    expect(claims).toHaveLength(LIMITS.jobsRunning);
    const { data } = await store().jobs.list(tenant, { limit: 100 });
    for (const { id } of data) await store().jobs.cancel(tenant, id);
  });

  test("a key that is rotated twice at once has one successor, and one that was revoked has none", async () => {
    const wanted = { kind: "admin", name: "a", scopes: ["metrics"], owner: "me" } as const;
    const { key } = await store().keys.create(SERVER, wanted);
    const asked = await Promise.allSettled(Array.from({ length: 4 }, () => store().keys.rotate(SERVER, key.id)));
    expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const one of asked) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "invalid_value" });
    }
    await expect(store().keys.rotate(SERVER, key.id)).rejects.toMatchObject({ code: "invalid_value" });
  });
});
