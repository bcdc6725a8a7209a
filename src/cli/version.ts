import { readFileSync } from "node:fs";
import { packagePath } from "../stages/package-root.ts";

/** The version in this program's package.json. */
export const boosterVersion = (): string =>
  (JSON.parse(readFileSync(packagePath("package.json"), "utf8")) as { readonly version: string }).version;
