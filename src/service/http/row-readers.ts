import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createModel } from "../../models/registry.ts";
import { openSource } from "../../models/source.ts";
import { BASE_FILE, BaseCard } from "../pipeline/base.ts";
import type { RowReader } from "../pipeline/preview.ts";
import type { Base } from "../store/bases.ts";
import type { BlobStore } from "../store/blobs.ts";

/** Tokenizers that are kept at a time. */
const KEPT = 4;

/** How bases read rows: their tokenizers, templates and lengths, taken from their small files and kept in memory. */
export class RowReaders {
  readonly #readers = new Map<string, Promise<RowReader>>();

  constructor(private readonly blobs: Pick<BlobStore, "open">) {}

  of(base: Base): Promise<RowReader> {
    const there = this.#readers.get(base.identity);
    if (there !== undefined) return there;
    const opening = this.#open(base);
    this.#readers.set(base.identity, opening);
    opening.catch(() => this.#readers.delete(base.identity));
    if (this.#readers.size > KEPT) this.#readers.delete(this.#readers.keys().next().value as string);
    return opening;
  }

  async #open({ files }: Base): Promise<RowReader> {
    const folder = await mkdtemp(join(tmpdir(), "booster-base-"));
    try {
      for (const [name, sha256] of Object.entries(files)) {
        if (name.endsWith(".safetensors") || name !== basename(name)) continue;
        await writeFile(join(folder, name), await this.blobs.open(sha256), { mode: 0o600 });
      }
      const { base } = openSource(folder);
      const chunks: Buffer[] = [];
      for await (const chunk of await this.blobs.open(files[BASE_FILE] ?? "")) chunks.push(chunk as Buffer);
      const { template } = BaseCard.parse(JSON.parse(Buffer.concat(chunks).toString()));
      const { maxPositions } = createModel(base.config());
      return { tokenizer: base.tokenizer(), template, maxPositions };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
