import { existsSync } from "node:fs";
import { BoosterError } from "../errors.ts";
import { type GgufFile, openGguf } from "./gguf.ts";
import { duplicate } from "./gguf-metadata.ts";

/** What llama.cpp calls part 2 of 3 of `NAME`: `NAME-00002-of-00003.gguf`. */
const PART = /^(.*)-\d{5}-of-(\d{5})\.gguf$/s;
/** The largest published models have fewer than a hundred. */
const MAX_PARTS = 1_000;

/** A model in one file or in several, which are read as one. */
export interface GgufModelFile extends GgufFile {
  /** In their order. */
  readonly paths: readonly string[];
}

/**
 * Opens a GGUF file and, where it is one part of several, all of them, whichever is named. Metadata are those of the first part.
 *
 *     split.count parts, part split.no (from 0) of NAME is NAME-0000{no + 1}-of-0000{count}.gguf, split.tensors.count tensors in all
 *
 * Source: llama.cpp's `gguf-split`, and how its `llama-model-loader.cpp` reads what that writes.
 *
 * @throws {BoosterError} `GGUF_PARTS_INVALID` naming the part that is missing or does not belong there, and as `openGguf`
 * @example
 * openGgufParts("model-00001-of-00003.gguf").paths.length; // 3
 */
export function openGgufParts(path: string): GgufModelFile {
  const named = openGguf(path);
  const count = named.metadata["split.count"] ?? 0;
  if (typeof count !== "number" || count > MAX_PARTS) throw invalid(`at most ${MAX_PARTS} parts`, `${count}`, path);
  if (count < 2) return { ...named, paths: [path] };
  const [, name, told] = PART.exec(path) ?? [];
  if (name === undefined || Number(told) !== count) {
    throw invalid(`a name like NAME-00001-of-${digits(count)}.gguf, by which the other parts are found`, path, path);
  }
  const paths = Array.from({ length: count }, (_, i) => `${name}-${digits(i + 1)}-of-${digits(count)}.gguf`);
  const absent = paths.find((part) => !existsSync(part));
  if (absent !== undefined)
    throw invalid(`${count} parts`, `no ${absent}`, path, "Bring that part into the same folder");
  return joined(paths);
}

const digits = (number: number): string => `${number}`.padStart(5, "0");

function joined(paths: readonly string[]): GgufModelFile {
  const files = paths.map(openGguf);
  const owners = new Map<string, GgufFile>();
  for (const [i, file] of files.entries()) {
    const { "split.no": no, "split.count": count } = file.metadata;
    if (no !== i || count !== files.length) {
      throw invalid(`part ${i} of ${files.length}`, `part ${String(no)} of ${String(count)}`, file.where);
    }
    for (const name of file.entries.keys()) {
      if (owners.has(name)) throw duplicate(name, file.where);
      owners.set(name, file);
    }
  }
  const [first] = files as [GgufFile];
  const tensors = first.metadata["split.tensors.count"] ?? owners.size;
  if (tensors !== owners.size) throw invalid(`${String(tensors)} tensors`, `${owners.size}`, first.where);
  const entries = new Map(files.flatMap((file) => [...file.entries]));
  const owner = (name: string): GgufFile => owners.get(name) ?? first;
  return { ...first, entries, paths, load: (name) => owner(name).load(name), keep: (name) => owner(name).keep(name) };
}

const invalid = (expected: string, found: string, where: string, hint?: string): BoosterError =>
  new BoosterError("GGUF_PARTS_INVALID", "the parts of this model do not come together", {
    expected,
    found: found.slice(-200),
    where,
    ...(hint === undefined ? {} : { hint }),
  });
