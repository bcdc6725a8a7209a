import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { PROVIDERS, type Provider } from "../../runtime/providers.ts";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import type { ProviderState } from "../probe.ts";
import { boosterVersion } from "../version.ts";

/** Vector instructions that decide how fast matrix products are. */
const VECTOR_FLAGS = ["avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve"];

function vectorFlags(): readonly string[] | undefined {
  if (!existsSync("/proc/cpuinfo")) return undefined;
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
  const flags = new Set(line.trim().split(/\s+/));
  return VECTOR_FLAGS.filter((flag) => flags.has(flag));
}

function onnxRuntimeVersion(): string {
  const path = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(path, "utf8"))).version;
}

/** Characters of a provider's complaint that a person is shown; programs get all of it. */
const REASON_SHOWN = 120;

/** Tries a provider in a process of its own; what native libraries write to its standard error is left out. */
function probeProvider(provider: Provider): Promise<ProviderState> {
  // Compiled beside this module's folder; TypeScript does not rewrite names in URLs.
  const program = fileURLToPath(new URL("../probe.js", import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [program, provider], (error, printed) => {
      if (error === null) resolve(JSON.parse(printed) as ProviderState);
      else resolve({ works: false, reason: `its process ended with ${error.signal ?? `code ${error.code}`}` });
    });
  });
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** `booster env` */
export const command = defineCommand({
  details: `Says what a bug report needs: versions, processor, memory, and which execution providers really work here. Each is
tried on a small program, in a process of its own.`,
  examples: ["booster env  # for people", "booster env --json  # for programs"],
  options: z.strictObject({}),
  async run(_, { output }) {
    const providers: Record<string, ProviderState> = {};
    for (const provider of PROVIDERS) providers[provider] = await probeProvider(provider);
    const found = {
      booster: boosterVersion(),
      node: process.versions.node,
      onnxRuntime: onnxRuntimeVersion(),
      system: `${platform()} ${arch()} ${release()}`,
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      vectorInstructions: vectorFlags(),
      memory: { total: totalmem(), free: freemem() },
      providers,
    };
    output.result(found, () =>
      columns([
        ["booster", found.booster],
        ["node", found.node],
        ["onnxruntime", found.onnxRuntime],
        ["system", found.system],
        ["processor", `${found.cpu}, ${found.cores} cores`],
        ["vector", found.vectorInstructions?.join(" ") ?? "unknown on this system"],
        ["memory", `${gigabytes(found.memory.total)}, ${gigabytes(found.memory.free)} free`],
        ...Object.entries(providers).map(([name, { works, reason }]) => [
          `${name} provider`,
          works ? "works" : `does not work: ${(reason ?? "").split("\n")[0]?.slice(0, REASON_SHOWN)}`,
        ]),
      ]),
    );
  },
});
