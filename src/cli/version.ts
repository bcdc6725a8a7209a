import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { BoosterError } from "../errors.ts";

const Package = z.object({ name: z.string().optional(), version: z.string().optional() });

/** The version in this program's package.json, which stands in one of the folders above. */
export function boosterVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, "package.json");
    if (!existsSync(path)) continue;
    const found = Package.parse(JSON.parse(readFileSync(path, "utf8")));
    if (found.name === "booster" && found.version !== undefined) return found.version;
  }
  throw new BoosterError("INSTALLATION_BROKEN", "the program's own package.json is missing", {
    hint: "Install booster again",
  });
}
