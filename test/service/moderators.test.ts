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
      program.remove();
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

    test("who leaves does not end it for others, and where it dies the next request begins it anew", async () => {
      const { moderators } = server.service;
      const exchanges = texts.map((answer) => ({ prompt: "", answer }));
      const [before] = children();
      const leaving = new AbortController();
      const left = moderators.judge(policy, exchanges, leaving.signal);
      leaving.abort();
      // It may have been answered already.
      await left.catch((error: unknown) => expect(error).toHaveProperty("code"));
      process.kill(Number(before), "SIGKILL");
      await moderators.judge(policy, exchanges, new AbortController().signal).catch(() => undefined);
      await flags();
      const [after] = children();
      expect(after).not.toBe(before);
      moderators.close();
      await expect.poll(children).toEqual([]);
    });

    test("more than can wait are sent away, and a model that is not there is told", async () => {
      const all = await Promise.allSettled(
        Array.from({ length: 40 }, () =>
          server.service.moderators.judge(policy, [{ prompt: "", answer: "a" }], new AbortController().signal),
        ),
      );
      const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
      expect(refused).toEqual(Array.from({ length: 8 }, () => "engine_overloaded"));
      const elsewhere = { ...policy, moderatorFiles: {} };
      const asked = server.service.moderators.judge(elsewhere, [], new AbortController().signal);
      await expect(asked).rejects.toMatchObject({ code: "MODERATOR_FILES" });
    });
  },
);
