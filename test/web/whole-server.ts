/** `booster serve` as it is, with a worker that trains, for a browser. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { compileProgram } from "../crash/compile.ts";
import { worldBase } from "../service/pipeline-things.ts";

export interface WholeServer {
  readonly url: string;
  /** May do everything. */
  readonly key: string;
  readonly process: ChildProcess;
  readonly data: string;
  /** Processes that its worker computes in. */
  readonly stageProgram: string;
  stop(): Promise<void>;
}

/** `policy`: its text; undefined is the server's own. */
export async function startWholeServer({ policy }: { readonly policy: string | undefined }): Promise<WholeServer> {
  const program = compileProgram("src/cli/main.ts");
  const folder = mkdtempSync(join(tmpdir(), "booster-whole-"));
  const data = join(folder, "data");
  mkdirSync(join(data, "bases"), { recursive: true });
  cpSync((await worldBase("world-booster")).folder, join(data, "bases/world-booster"), { recursive: true });
  const file = join(folder, "policy.yaml");
  if (policy !== undefined) writeFileSync(file, policy);
  const options = {
    data,
    port: "0",
    workers: "1",
    threads: "1",
    "log-level": "error",
    ...(policy === undefined ? {} : { policy: file }),
  };
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const service = spawn(process.execPath, [program.path, "serve", "--json", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface(service.stdout)) {
    const told = JSON.parse(line) as { readonly type: string; readonly url: string; readonly key: string };
    if (told.type !== "result") continue;
    return {
      ...told,
      process: service,
      data,
      stageProgram: join(program.path, "../../service/worker/stage-child.js"),
      stop: async () => {
        service.kill("SIGTERM");
        await new Promise((resolve) => service.once("exit", resolve));
        rmSync(folder, { recursive: true, force: true });
      },
    };
  }
  throw new Error("the server has ended before it began");
}
