import { z } from "zod";
import type { FileFacts } from "../domain/file-facts.ts";
import type { Context } from "./context.ts";

const row = z.object({ sha256: z.string(), body: z.custom<FileFacts>() });

/** What was found in training files, by the hash of their content: it is the same for every file of the same bytes. */
export class Checks {
  constructor(private readonly context: Context) {}

  async put(sha256: string, facts: FileFacts): Promise<void> {
    await this.context.db.query(
      "insert into file_checks (sha256, body) values ($1, $2::jsonb) on conflict (sha256) do update set body = excluded.body",
      [sha256, JSON.stringify(facts)],
    );
  }

  async get(sha256: string): Promise<FileFacts | undefined> {
    return (await this.of([sha256])).get(sha256);
  }

  /** Of several files at once. */
  async of(hashes: readonly string[]): Promise<ReadonlyMap<string, FileFacts>> {
    const rows = await this.context.db.query(
      "select sha256, body from file_checks where sha256 = any($1::text[])",
      [[...hashes]],
      row,
    );
    return new Map(rows.map(({ sha256, body }) => [sha256, body]));
  }
}
