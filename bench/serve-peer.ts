import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { exportModel } from "../src/stages/export/export.ts";
import { packagePath } from "../src/stages/package-root.ts";
import { measureInChild } from "./child.ts";
import { median } from "./report.ts";

const LLAMA = packagePath("bench", "peers", "llama");

const Result = z.object({
  rates: z.array(z.number().positive()).min(1),
  firstMs: z.array(z.number()).min(1),
  version: z.string(),
});

/** What a peer is asked: streams take the adapters by turns. */
export interface PeerRequest {
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
  readonly runs: number;
}

/** llama.cpp with the same adapters, in its own form, on the same file; undefined where it is not installed. */
export async function llamaServer(model: string, adapters: readonly string[], scratch: string) {
  if (!existsSync(join(LLAMA, "node_modules"))) return undefined;
  const loras: string[] = [];
  for (const [i, folder] of adapters.entries()) {
    const lora = join(scratch, `serve-lora-${i}.gguf`);
    loras.push((await exportModel({ model, adapters: [folder], format: "gguf-lora", out: lora })).out);
  }
  return async (asked: PeerRequest, count: number) => {
    const request = join(scratch, "serve-llama.json");
    writeFileSync(request, JSON.stringify({ ...asked, adapters: loras.slice(0, count) }));
    const args = [join(LLAMA, "serve.js"), model, request];
    const { rates, firstMs, version } = await measureInChild(Result, process.execPath, args);
    return { tokensPerSecond: median(rates), firstMs: median(firstMs), version };
  };
}
