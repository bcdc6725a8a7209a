import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { z } from "zod";
import { BoosterError } from "../src/errors.ts";

/**
 * Runs a program that prints its measurement as the last line of its output, as JSON: one measurement a process, so that
 * peak memory is its own.
 *
 * @param seconds after which it is killed
 * @throws {BoosterError} `BENCH_CHILD_FAILED` when it fails or prints no JSON; zod's error when the JSON is another one.
 * @example
 * const { tokensPerSecond } = await measureInChild(z.object({ tokensPerSecond: z.number() }), process.execPath, ["x.js"]);
 */
export async function measureInChild<T>(
  schema: z.ZodType<T>,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  seconds?: number,
): Promise<T> {
  const limit = seconds === undefined ? {} : { timeout: Math.ceil(1000 * seconds), killSignal: "SIGKILL" as const };
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"], ...limit });
  const exit = new Promise<number | NodeJS.Signals | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", (code, signal) => done(code ?? signal));
  });
  const [code, output, log] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
  const line = output.trim().split("\n").at(-1) ?? "";
  if (code === 0 && line.startsWith("{")) return schema.parse(JSON.parse(line));
  throw new BoosterError("CHILD_CRASHED", "a measurement gave no result", {
    expected: "exit code 0 and a line of JSON",
    found: `exit code ${code}, ${/^\w*Error: .*$/m.exec(log)?.[0] ?? log.trim().split("\n").slice(-5).join("\n")}`,
    where: [command, ...args].join(" "),
  });
}
