import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";

/** Base models in the package, from as many seeds of the pretraining. */
export const BUNDLED_BASES = [1, 2, 3] as const;

/** A path inside this package, wherever it is installed and whether it runs from source or compiled. */
export function packagePath(...parts: string[]): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && existsSync(join(folder, "assets"))) return join(folder, ...parts);
    if (dirname(folder) !== folder) continue;
    throw new BoosterError("PACKAGE_INCOMPLETE", "the package's own files are not where they should be", {
      expected: "a folder above with package.json and assets",
      where: import.meta.dirname,
      hint: "Install the package again.",
    });
  }
}

/** Folder of a bundled base model, in Hugging Face's layout. */
export const bundledModel = (base: (typeof BUNDLED_BASES)[number] = 1): string =>
  packagePath("assets", base === 1 ? "world" : `world-${base}`);
