/** What a request can do to a moderator that is a model, and not to the server. */
import { expect, test } from "vitest";
import { Moderators } from "../../src/service/pipeline/moderators.ts";
import type { Policy } from "../../src/service/pipeline/policy.ts";
import { bundledPolicy, loadPolicy } from "../../src/service/pipeline/policy-file.ts";
import { compileProgram } from "../crash/compile.ts";

test("a request that makes its model take more memory than it may have fails alone: the model is ended and begun anew", async () => {
  const moderators = new Moderators(compileProgram("test/service/greedy-moderator.ts").path, 300e6);
  const bundled = (await loadPolicy(bundledPolicy())).policy;
  const moderator = { name: "beaver-dam", model: "none", threshold: 0.5, maxTokens: 256 };
  const policy = { ...bundled, moderation: { ...bundled.moderation, moderator } } as Policy;
  const ask = (answer: string) => moderators.judge("p", policy, [{ prompt: "", answer }], new AbortController().signal);
  try {
    const [first, ...others] = await Promise.allSettled([ask("take everything"), ask("one"), ask("two")]);
    expect(first).toMatchObject({
      status: "rejected",
      reason: { code: "OUT_OF_MEMORY", details: { expected: "at most 0.30 GB" } },
    });
    expect(others).toMatchObject(Array(2).fill({ status: "fulfilled", value: [{ harmful: false }] }));
  } finally {
    moderators.close();
  }
});
