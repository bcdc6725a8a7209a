import { type ChildProcess, fork } from "node:child_process";
import type { Readable } from "node:stream";

/** How a process came to its end. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A module in a process of its own, which messages go to and come from; both sides come from one program, so their types are taken on trust. It is in its own process group: Ctrl-C
 * does not reach it. When this process exits it is killed.
 */
export class Forked<Said, Heard> {
  /** Rejected where the process could not begin. */
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;

  /** @param stderr `pipe`: it is read from here, to its end */
  constructor(module: URL | string, hear: (message: Heard) => void, stderr: "inherit" | "pipe" = "inherit") {
    this.child = fork(module, [], {
      detached: true,
      serialization: "advanced",
      stdio: ["ignore", "inherit", stderr, "ipc"],
    });
    this.child.on("message", hear as (message: unknown) => void);
    process.once("exit", this.kill);
    this.ended = new Promise<Ended>((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve({ code, signal }));
    }).finally(() => process.off("exit", this.kill));
    // Whoever waits for it hears how it failed.
    this.ended.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  get stderr(): Readable | null {
    return this.child.stderr;
  }

  /** Whether it can be told anything; that its channel is closed may be told only after its end. */
  get isConnected(): boolean {
    const { connected, exitCode, signalCode } = this.child;
    return connected && exitCode === null && signalCode === null;
  }

  /** The process may be gone already; how it ended is told by `ended`. */
  say(message: Said): void {
    if (this.child.connected) this.child.send(message as object, () => undefined);
  }

  readonly kill = (): void => void this.child.kill("SIGKILL");
}
