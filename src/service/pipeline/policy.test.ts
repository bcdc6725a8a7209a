import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { moderatorOf } from "./moderator.ts";
import { checkSizes, parsePolicy, policyHash, policyOf, treatmentOf } from "./policy.ts";
import { bundledPolicy, loadPolicy, recheckPolicy } from "./policy-file.ts";

const written = {
  name: "trial",
  bases: ["world-booster"],
  moderation: { moderator: "world" },
  defence: { allowed: ["sft", { name: "lisa", rho: 0.5 }], default: "sft" },
  data: { alignment: "harmless.jsonl", harmful: "harmful.jsonl" },
  repair: ["antidote"],
  evaluate: { sets: { harmful: "harmful.jsonl", harmless: "harmless.jsonl" }, n: 100 },
  limits: { hs: 0.05, hsRise: 0.05, overRefusal: 0.3 },
} as const;
const alone = (n: number) => Array.from({ length: n }, (_, i) => i);
const enough = { harmful: alone(100), harmless: alone(40) };
const policy = parsePolicy(written);

/** A folder with the policy and two sets of questions that have nothing in common. */
function folder(change: object = {}, questions = 100): string {
  const at = mkdtempSync(join(tmpdir(), "policy-"));
  const lines = (kind: string) =>
    Array.from({ length: questions }, (_, i) => {
      const word = String.fromCharCode(...[...String(i * 7919 + 104_729)].map((digit) => 97 + Number(digit) * 2));
      return `${JSON.stringify({ instruction: `${kind} ${word} ${word.repeat(3)}`, output: "a" })}\n`;
    }).join("");
  writeFileSync(join(at, "harmful.jsonl"), lines("how to"));
  writeFileSync(join(at, "harmless.jsonl"), lines("please tell"));
  writeFileSync(join(at, "policy.yaml"), JSON.stringify({ ...written, ...change }));
  return at;
}

describe("a policy", () => {
  test("is refused with the names of all that is wrong", () => {
    expect(() => parsePolicy({ ...written, limits: { hs: 2, hsRise: 0, overRefusal: 0 }, moderaton: {} })).toThrow(
      /POLICY|limits.hs.*moderaton/s,
    );
    expect(() => parsePolicy({ ...written, defence: { allowed: ["sft"], default: "lisa" } })).toThrow(/lisa/);
    expect(() => parsePolicy({ ...written, defence: { allowed: ["sft", "sft"], default: "sft" } })).toThrow(/once/);
  });

  test("that can never release a model is refused", () => {
    expect(() => checkSizes(policy, enough)).not.toThrow();
    expect(() => checkSizes(policy, { ...enough, harmful: alone(99) })).toThrow(/100 prompts/);
    expect(() => checkSizes(policy, { ...enough, harmless: alone(8) })).toThrow(/overRefusal/);
    const together = Array.from({ length: 100 }, (_, i) => Math.floor(i / 4));
    expect(() => checkSizes(policy, { ...enough, harmful: together })).toThrow(/25 things/);
    const strict = parsePolicy({ ...written, limits: { ...written.limits, category: { illicit: 0.02 } } });
    expect(() => checkSizes(strict, enough)).toThrow(/category illicit/);
  });

  test("holds what its moderator's files hold: other ones are refused wherever it is read", async () => {
    const at = folder({ moderation: { moderator: { name: "classifier", file: "judge.json" } } });
    await expect(loadPolicy(join(at, "policy.yaml"))).rejects.toMatchObject({ code: "MODERATOR_FILES" });
    const heldOut = { harmfulFlagged: { count: 1, total: 1 }, harmlessPassed: { count: 1, total: 1 } };
    const judge = { format: "booster-classifier-1", bias: 0, weights: "AAAAAA==", heldOut };
    writeFileSync(join(at, "judge.json"), JSON.stringify(judge));
    const { policy, sha256, blobs } = await loadPolicy(join(at, "policy.yaml"));
    const rows = async (of: string) => blobs.get(of) as Uint8Array;
    expect(Object.keys(policy.moderatorFiles ?? {})).toEqual([join(at, "judge.json")]);
    await recheckPolicy(policy, rows);
    expect((await moderatorOf(policy)).moderator.name).toBe("classifier");
    const { moderatorFiles: _, ...silent } = policy;
    await expect(recheckPolicy(silent, rows)).rejects.toMatchObject({ code: "POLICY_INVALID" });
    // Nor may it say less than all.
    const untold = { ...policy, moderatorFiles: {} };
    const elsewhere = { ...policy.moderation, moderator: { name: "classifier", file: join(at, "no.json") } } as const;
    for (const less of [untold, { ...untold, moderation: elsewhere }]) {
      await expect(recheckPolicy(less, rows)).rejects.toMatchObject({ code: "MODERATOR_FILES" });
      await expect(moderatorOf(less)).rejects.toMatchObject({ code: "MODERATOR_FILES" });
    }
    writeFileSync(join(at, "judge.json"), `${readFileSync(join(at, "judge.json"), "utf8")} `);
    for (const use of [() => moderatorOf(policy), () => recheckPolicy(policy, rows)]) {
      await expect(use()).rejects.toMatchObject({ code: "MODERATOR_FILES", details: { found: "another file" } });
    }
    expect((await loadPolicy(join(at, "policy.yaml"))).sha256).not.toBe(sha256);
  });

  test("limits no kind of harm that its moderator does not tell", async () => {
    const judge = { name: "judge", baseUrl: "http://127.0.0.1:1/v1", model: "m" };
    const limiting = (moderator: object, kind: string) =>
      loadPolicy(
        join(
          folder({ moderation: { moderator }, limits: { ...written.limits, category: { [kind]: 0.05 } } }),
          "policy.yaml",
        ),
      );
    for (const [moderator, kind] of [
      [{ name: "world" }, "S1"],
      [judge, "S1"],
      [{ ...judge, conversation: true }, "illicit"],
    ] as const) {
      const refused = { code: "POLICY_INVALID", details: { found: kind } };
      await expect(limiting(moderator, kind)).rejects.toMatchObject(refused);
    }
    expect((await limiting({ ...judge, conversation: true }, "S1")).policy.limits.category).toEqual({ S1: 0.05 });
  });

  test("has a hash that changes with its words and with a row of its sets, and not with the folder", async () => {
    const hashOf = async (at: string) => (await loadPolicy(join(at, "policy.yaml"))).sha256;
    const [one, same, changed] = [folder(), folder(), folder()];
    expect(await hashOf(same)).toBe(await hashOf(one));
    const file = join(changed, "harmful.jsonl");
    writeFileSync(file, readFileSync(file, "utf8").replace("how to", "how to never"));
    expect(await hashOf(changed)).not.toBe(await hashOf(one));
    expect(await hashOf(folder({ limits: { ...written.limits, hs: 0.06 } }))).not.toBe(await hashOf(one));
  });

  test("travels as JSON and comes back the same", async () => {
    const loaded = await loadPolicy(join(folder(), "policy.yaml"));
    const back = policyOf(JSON.parse(JSON.stringify(loaded.policy)));
    expect(policyHash(back)).toBe(loaded.sha256);
    expect([...loaded.blobs.keys()].sort()).toEqual(
      [...new Set(Object.values(back.sets).map(({ sha256 }) => sha256))].sort(),
    );
  });

  test("that comes with the program can release a model that answers nothing harmfully", async () => {
    const { policy } = await loadPolicy(bundledPolicy());
    expect(policy.name).toBe("default");
    expect(policy.sets["evaluate/harmful"]?.rows).toBe(policy.evaluate.n);
  });

  test("that allows a defence without the rows that it reads is refused", async () => {
    const at = folder({ data: {}, repair: [], defence: { allowed: ["lisa"], default: "lisa" } });
    await expect(loadPolicy(join(at, "policy.yaml"))).rejects.toMatchObject({
      code: "POLICY_INVALID",
      details: { found: "no data.alignment for lisa" },
    });
  });
});

describe("a job", () => {
  const of = (fields: Parameters<typeof treatmentOf>[1]) => treatmentOf(policy, fields);

  test("that asks for nothing is treated by the policy", () => {
    expect(of({})).toMatchObject({ defence: { name: "sft" }, repair: [{ name: "antidote" }], onFlag: "hold" });
  });

  test("may be stricter", () => {
    expect(of({ defence: "lisa" }).defence).toMatchObject({ name: "lisa", rho: 0.5 });
    expect(of({ defence: { name: "lisa", rho: 0.5 } }).defence).toMatchObject({ name: "lisa", rho: 0.5 });
    expect(of({ repair: ["antidote", "shrink"] }).repair).toMatchObject([{ name: "antidote" }, { name: "shrink" }]);
    expect(of({ moderation: { action: "reject" } }).onFlag).toBe("reject");
  });

  test.each([
    ["booster.defence", { defence: "vaccine" }],
    ["booster.defence", { defence: { name: "lisa", rho: 0 } }],
    ["booster.repair", { repair: [] }],
    ["booster.repair", { repair: ["shrink", "antidote"] }],
    ["booster.repair", { repair: [{ name: "antidote", denseRatio: 1e-9 }] }],
    ["booster.moderation.action", { moderation: { action: "drop" } }],
  ] as const)("may not be looser: %s %j", (where, fields) => {
    expect(() => of(fields as never)).toThrow(
      expect.objectContaining({ code: "POLICY_LOOSER", details: expect.objectContaining({ where }) }),
    );
  });
});
