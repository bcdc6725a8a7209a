/** A base whose tokenizer is real and that computes nothing: the bundled model's files but its weights. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SERVER } from "../../src/service/domain/principal.ts";
import { policyOf } from "../../src/service/pipeline/policy.ts";
import { bundledModel } from "../../src/stages/package-root.ts";
import type { TestServer } from "./server.ts";

/** Adds it as `tiny`, with a policy of that name that allows it alone, under which the project's new jobs are. */
export async function addTinyBase({ store, project }: TestServer): Promise<void> {
  const card = {
    version: 1,
    name: "tiny",
    alignment: null,
    template: "chat",
    learningRate: 1e-4,
    loraRank: 4,
    loraAlpha: 8,
  };
  const files: Record<string, string> = {
    "base.json": (await store.blobs.put(Buffer.from(JSON.stringify(card)))).sha256,
  };
  for (const name of readdirSync(bundledModel()).filter((file) => file.endsWith(".json"))) {
    files[name] = (await store.blobs.put(readFileSync(join(bundledModel(), name)))).sha256;
  }
  await store.bases.add(SERVER, { name: "tiny", identity: "f".repeat(64), files, facts: {} });
  const { body } = (await store.policies.current("default"))!;
  await store.policies.set(SERVER, "tiny", { ...policyOf(body), name: "tiny", bases: ["tiny"] } as never);
  await store.projects.update(SERVER, project, { policy: "tiny" });
}
