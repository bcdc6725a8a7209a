import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileProgram } from "../crash/compile.ts";

/** How a command ended. */
export interface CliEnding {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with everything that was written so far, after each piece. */
  readonly onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** The compiled command line in a folder of its own, where the tests' files lie and commands run. */
export class Cli {
  readonly folder = mkdtempSync(join(tmpdir(), "booster-cli-"));
  private readonly program = compileProgram("src/cli/main.ts");

  /** The compiled program. */
  get path(): string {
    return this.program.path;
  }

  run(args: readonly string[], { input = "", env = {}, onOutput }: CliOptions = {}): Promise<CliEnding> {
    const child = spawn(process.execPath, [this.program.path, ...args], {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: "pipe",
    });
    const written = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        written[name] += text;
        onOutput?.(written.stdout + written.stderr, (signal) => child.kill(signal));
      });
    }
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, ...written }));
    });
  }

  /** Runs with `--json` and reads the last line. */
  async json(args: readonly string[]): Promise<{ readonly code: number | null; readonly last: Json }> {
    const { code, stdout } = await this.run([...args, "--json"]);
    return { code, last: JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Json };
  }

  /** The code of the error that a command ends with, and its whole text. */
  async failure(args: readonly string[]): Promise<{ code: string; message: string; exit: number | null }> {
    const { code: exit, last } = await this.json(args);
    const { code, message } = last.error as { code: string; message: string };
    return { code, message, exit };
  }

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export type Json = Readonly<Record<string, unknown>>;
