import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { BoosterError } from "../../errors.ts";
import { readAdapterConfig } from "../../formats/peft.ts";
import type { SlotAdapter } from "../../generate/index.ts";
import { asAdapter, type LoadedModel, readLora } from "../../models/load.ts";
import type { ServedAdapter } from "./types.ts";

/** What adapters stand on: see `lineage`. */
interface Below {
  readonly identity: string;
  /** The base is a model with adapters that were multiplied into it. */
  readonly isAligned: boolean;
}

/** Files of PEFT's folder that are read. */
const FILES = ["adapter_config.json", "adapter_model.safetensors"];

/** An adapter of a released model, read when a row needs it: files that have other names where they are. */
export const adapterFrom = ({ key, files }: ServedAdapter, base: LoadedModel, below: Below): SlotAdapter => ({
  key,
  async load() {
    const folder = mkdtempSync(join(tmpdir(), "booster-adapter-"));
    try {
      for (const name of FILES) {
        const path = files[name];
        if (path !== undefined) symlinkSync(resolve(path), join(folder, name));
      }
      const { parent } = readAdapterConfig(folder);
      if (below.isAligned && parent === undefined) {
        throw new BoosterError(
          "PARENT_MISSING",
          "this adapter was not trained on the aligned model that it is served with",
          {
            expected: `the model ${below.identity.slice(0, 12)} below it`,
            found: "no word on what is below it",
          },
        );
      }
      return asAdapter(readLora(base, folder, below.identity));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
});
