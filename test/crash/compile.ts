import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/**
 * Compiles a TypeScript program for a child process, since Node 20 cannot run it as it is: `tsc` without checks into a
 * throw-away folder below node_modules, from where packages are found.
 *
 * @param entry path below the repository root, e.g. "test/crash/trainer.ts".
 * @param others programs that it starts
 */
export function compileProgram(entry: string, ...others: string[]): { path: string; remove: () => void } {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "child-"));
  const config = {
    extends: join(root, "tsconfig.build.json"),
    compilerOptions: { outDir: folder, rootDir: root, declaration: false, noCheck: true },
    files: [entry, ...others].map((file) => join(root, file)),
    include: [],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { stdio: "inherit" });
  return { path: join(folder, entry.replace(/\.ts$/, ".js")), remove: () => rmSync(folder, { recursive: true }) };
}
