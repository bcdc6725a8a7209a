import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { transformWithOxc } from "vite";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the sources lie as programs that Node runs. */
    compiled: string;
  }
}

const root = resolve(import.meta.dirname, "../..");

/** Compiles all sources, once for a run of tests and below node_modules, where packages are found: that takes less than finding out what is needed. */
export default async function compileAll(project: TestProject): Promise<() => void> {
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const into = mkdtempSync(join(cache, "child-"));
  const options = {
    sourcemap: false,
    typescript: { rewriteImportExtensions: "rewrite", onlyRemoveTypeImports: true },
  } as const;
  for (const part of ["src", "test", "bench"]) {
    for (const file of readdirSync(join(root, part), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || file.endsWith(".test.ts") || file.includes("node_modules")) continue;
      const path = join(root, part, file);
      const { code } = await transformWithOxc(readFileSync(path, "utf8"), path, options);
      const to = join(into, part, file.replace(/\.ts$/, ".js"));
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, code);
    }
  }
  writeFileSync(join(into, "package.json"), JSON.stringify({ type: "module" }));
  project.provide("compiled", into);
  return () => rmSync(into, { recursive: true, force: true });
}
