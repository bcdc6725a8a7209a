import { readFileSync } from "node:fs";
import { type Document, isMap, isNode, LineCounter, parseDocument } from "yaml";
import { atMost, BoosterError } from "../errors.ts";

/** 1 MB: configurations are written by hand. */
const MAX_CONFIG_BYTES = 2 ** 20;

/** A configuration as written, and where each part of it stands. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** `file:line:column` of a key or of the value at a path; of the file where there is neither. */
  placeOf(path: readonly PropertyKey[]): string;
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new BoosterError("CONFIG_NOT_READ", "the configuration file cannot be read", {
      found: (cause as NodeJS.ErrnoException).code ?? String(cause),
      where: path,
      cause,
    });
  }
  const problem = "the configuration file is too large";
  atMost(MAX_CONFIG_BYTES, "bytes", bytes.length, "CONFIG_TOO_LARGE", problem, { where: path });
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}

/**
 * Reads a YAML (or JSON) configuration file; an empty one has no values.
 *
 * @throws {BoosterError} `CONFIG_NOT_READ`, `CONFIG_TOO_LARGE`, `CONFIG_SYNTAX` with line and column
 */
export function readConfigFile(path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new BoosterError("CONFIG_SYNTAX", "the configuration file is not YAML", {
      found: document.errors.map(({ message, pos }) => `${message} (${at(pos[0])})`).join("; "),
    });
  }
  const values: unknown = document.toJS() ?? {};
  if (typeof values !== "object" || Array.isArray(values)) {
    throw new BoosterError("CONFIG_SYNTAX", "the configuration file holds no settings", {
      expected: "key: value",
      found: Array.isArray(values) ? "a list" : typeof values,
      where: path,
    });
  }
  return {
    path,
    values: values as Readonly<Record<string, unknown>>,
    placeOf: (keys) => {
      const offset = offsetOf(document, keys);
      return offset === undefined ? path : at(offset);
    },
  };
}

function offsetOf(document: Document, keys: readonly PropertyKey[]): number | undefined {
  const parent: unknown = keys.length <= 1 ? document.contents : document.getIn(keys.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isNode(key) && key.toJSON() === keys.at(-1));
    if (isNode(pair?.key)) return pair.key.range?.[0];
  }
  const node: unknown = document.getIn(keys, true);
  return isNode(node) ? node.range?.[0] : undefined;
}
