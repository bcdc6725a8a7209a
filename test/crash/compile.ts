import { join } from "node:path";
import { inject } from "vitest";

/**
 * A TypeScript program, compiled for a child process, since Node 20 cannot run it as it is.
 *
 * @param entry path below the repository root, e.g. "test/crash/trainer.ts".
 */
export const compileProgram = (entry: string): { readonly path: string } => ({
  path: join(inject("compiled"), entry.replace(/\.ts$/, ".js")),
});
