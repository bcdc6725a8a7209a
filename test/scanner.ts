import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FaultList, type Row } from "../src/data/rows.ts";
import { type ReadOptions, scanFile } from "../src/data/sources.ts";

/** Reads contents as data files of a folder of its own. */
export function scanner() {
  const folder = mkdtempSync(join(tmpdir(), "sources-"));
  async function scan(name: string, content: string | Uint8Array, options?: ReadOptions) {
    const path = join(folder, name);
    writeFileSync(path, content);
    const rows: Row[] = [];
    const found = new FaultList();
    const file = await scanFile(path, (row) => rows.push(row), found, options);
    return {
      file,
      found,
      rows: rows.map(({ line, values }) => [line, values] as const),
      faults: found.first.map(({ line, column, code }) => [line, column, code] as const),
    };
  }
  return { folder, scan, remove: () => rmSync(folder, { recursive: true }) };
}
