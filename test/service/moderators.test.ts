/** Moderators that are models, asked while somebody waits: computed beside the server, in a process that can die. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openModerator } from "../../src/evaluate/index.ts";
import { SERVER } from "../../src/service/domain/principal.ts";
import { moderatorFiles } from "../../src/service/pipeline/moderator.ts";
import type { Policy } from "../../src/service/pipeline/policy.ts";
import { bundledPolicy, loadPolicy } from "../../src/service/pipeline/policy-file.ts";
import { compileProgram } from "../crash/compile.ts";
import { sharedPath } from "../shared.ts";
import { startTestServer, type TestServer } from "./server.ts";

const model = join(sharedPath("fixtures", "llama-classifier") ?? "", "model");
const moderator = { name: "beaver-dam", model, threshold: 0.5, maxTokens: 256 } as const;

describe.skipIf(sharedPath("fixtures", "llama-classifier") === undefined)(
  "a policy's moderator that is a model",
  () => {
    const program = compileProgram("src/service/pipeline/moderator-child.ts");
    const texts = ["one", "two three", "four five six"];
    let server: TestServer;
    let policy: Policy;
    beforeAll(async () => {
      server = await startTestServer({ moderatorChild: program.path });
      const bundled = (await loadPolicy(bundledPolicy())).policy;
      policy = {
        ...bundled,
        moderation: { ...bundled.moderation, moderator },
        moderatorFiles: await moderatorFiles(moderator),
      } as Policy;
      await server.store.policies.set(SERVER, policy.name, policy as never);
    });
    afterAll(async () => {
      await server.stop();
    });

    const children = (): string[] => {
      try {
        const own = ["-P", String(process.pid), "-f", "moderator-child"];
        return execFileSync("pgrep", own, { encoding: "utf8" }).trim().split("\n");
      } catch {
        return [];
      }
    };
    const flags = async () =>
      (await server.client().moderations.create({ input: texts })).results.map(({ flagged }) => flagged);

    test("says here what it says of rows, in one process for all requests", async () => {
      expect(children()).toEqual([]);
      const judged = await openModerator(moderator).judge(texts.map((answer) => ({ prompt: "", answer })));
      const expected = judged.map((one) => "harmful" in one && one.harmful);
      expect(await Promise.all([flags(), flags()])).toEqual([expected, expected]);
      const [first] = children();
      expect(await flags()).toEqual(expected);
      expect(children()).toEqual([first]);
    });

    test("who leaves, while it is opened or asked, does not end it for others; where it dies the next request begins it anew", async () => {
      const { moderators } = server.service;
      const many = Array.from({ length: 5000 }, (_, i) => ({ prompt: "", answer: `${texts[i % 3]} ${i}` }));
      moderators.close();
      await expect.poll(children).toEqual([]);
      let first: string | undefined;
      for (const isThere of [() => children().length > 0, () => true]) {
        const leaving = new AbortController();
        const left = moderators.judge("p", policy, many, leaving.signal);
        const refused = expect(left).rejects.toMatchObject({ code: "request_timeout" });
        await expect.poll(isThere).toBe(true);
        leaving.abort();
        await refused;
        await flags();
        first ??= children()[0];
        expect(children()).toEqual([first]);
      }
      process.kill(Number(first), "SIGKILL");
      await expect.poll(children).toEqual([]);
      await flags();
      expect(children()).not.toEqual([first]);
      moderators.close();
      await expect.poll(children).toEqual([]);
    });

    test("more of a project than can wait are sent away, others are not, and files that are not there are told to nobody who asks", async () => {
      const { moderators } = server.service;
      const ask = (project: string, asked: Policy = policy) =>
        moderators.judge(project, asked, [{ prompt: "", answer: "a" }], new AbortController().signal);
      const all = Promise.allSettled(Array.from({ length: 40 }, () => ask("p")));
      expect(await ask("q")).toHaveLength(1);
      const codes = (await all).map((one) => (one.status === "rejected" ? one.reason.code : "judged"));
      expect(codes).toEqual(Array.from({ length: 40 }, (_, i) => (i < 8 ? "judged" : "engine_overloaded")));
      const elsewhere = { ...policy, moderatorFiles: {} };
      await expect(ask("p", elsewhere)).rejects.toMatchObject({ code: "MODERATOR_FILES" });
      await server.store.policies.set(SERVER, policy.name, elsewhere as never);
      await expect(flags()).rejects.toMatchObject({ status: 500, code: "internal_error" });
      await server.store.policies.set(SERVER, policy.name, policy as never);
    });
  },
);
