import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { transformWithOxc } from "vite";

const root = resolve(import.meta.dirname, "../..");

/** Where the program is compiled to, below node_modules: from there packages are found. All of it, since that takes less than finding out what is needed. */
const folder = await compiled();

async function compiled(): Promise<string> {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const into = mkdtempSync(join(cache, "child-"));
  const options = {
    sourcemap: false,
    typescript: { rewriteImportExtensions: "rewrite", onlyRemoveTypeImports: true },
  } as const;
  for (const part of ["src", "test"]) {
    for (const file of readdirSync(join(root, part), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
      const path = join(root, part, file);
      const { code } = await transformWithOxc(readFileSync(path, "utf8"), path, options);
      const to = join(into, part, file.replace(/\.ts$/, ".js"));
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, code);
    }
  }
  writeFileSync(join(into, "package.json"), JSON.stringify({ type: "module" }));
  return into;
}

/**
 * A TypeScript program, compiled for a child process, since Node 20 cannot run it as it is.
 *
 * @param entry path below the repository root, e.g. "test/crash/trainer.ts".
 */
export const compileProgram = (entry: string): { path: string; remove: () => void } => ({
  path: join(folder, entry.replace(/\.ts$/, ".js")),
  remove: () => rmSync(folder, { recursive: true, force: true }),
});
