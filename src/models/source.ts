import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BoosterError } from "../errors.ts";
import { fileSource } from "../formats/byte-source.ts";
import type { GgufFile } from "../formats/gguf.ts";
import { openGgufParts } from "../formats/gguf-parts.ts";
import { ggufTokenizerFiles } from "../formats/gguf-tokenizer.ts";
import { inCache } from "../formats/hub/cache.ts";
import { isHubReference } from "../formats/hub/reference.ts";
import { llama2cTokenizerFiles } from "../formats/llama2c-tokenizer.ts";
import { createTokenizer, type Tokenizer, type TokenizerFiles } from "../formats/tokenizer.ts";
import { loadTokenizer, TEMPLATES } from "../formats/tokenizer-files.ts";
import { insisting } from "./config.ts";
import { licenceIn, licenceName } from "./licence.ts";
import { isLlama2c, openLlama2c } from "./llama2c.ts";
import {
  type AdapterLink,
  isRun,
  lineage,
  MODEL_FILE,
  readModelFile,
  refuseOutdated,
  type Template,
} from "./model-file.ts";
import { type ModelWeights, openFolder, openGgufModel, readConfig } from "./stored-weights.ts";

/** A model as it is stored; nothing is read before it is asked for. */
export interface Base {
  /** What a card calls it by. */
  readonly path: string;
  /** The content of config.json; undefined for a folder that holds a tokenizer alone. */
  config(): unknown;
  /** Keys of it that are passed over though they are not known, because somebody said so. */
  readonly ignoredConfigKeys?: readonly string[];
  weights(): ModelWeights;
  tokenizer(): Tokenizer;
  /** What tells it from others: see `modelIdentity`. */
  identity(): Promise<string>;
  /** The files that its tokenizer is made of, as a Hugging Face folder has them. */
  tokenizerFiles(): ReadonlyMap<string, Uint8Array>;
  /** Its licence, where its card or its metadata name one. */
  licence(): string | undefined;
  /** The file itself, where it is a GGUF file. */
  readonly gguf?: GgufFile;
}

/** What a reference leads to: a model, and the adapters that stand on it. */
export interface StoredModel {
  readonly base: Base;
  /** SHA-256 that the base must have; undefined where nobody has said so. */
  readonly sha256: string | undefined;
  /** In the order in which they were trained, each on top of those before it. */
  readonly adapters: readonly AdapterLink[];
  /** Those that made the aligned model; they may since have been trained on. */
  readonly alignment: readonly AdapterLink[];
  /** What it was trained in; undefined where nobody has said so. */
  readonly template: Template | undefined;
}

/** A kind of place where a model is: one row of `SOURCES`. */
export interface Source {
  readonly name: string;
  /** Told by content, not by name. */
  holds(path: string): boolean;
  /** @throws {BoosterError} */
  open(path: string): StoredModel;
}

const NO_RUN = { sha256: undefined, adapters: [], alignment: [], template: undefined };
const bare = (base: Base): StoredModel => ({ base, ...NO_RUN });

const run: Source = {
  name: "a run folder",
  holds: (path) => existsSync(join(path, MODEL_FILE)) || isRun(path),
  open(path) {
    const { base, adapters, alignment, template } = readModelFile(path);
    if (!isHubReference(base.path) && !existsSync(base.path)) {
      throw new BoosterError("FILE_NOT_FOUND", "the base of this run's model is not where the run looks for it", {
        expected: base.path,
        where: join(path, MODEL_FILE),
        hint: "Bring the run or its base back, or give the base as --model and the run's adapter/ as --adapters.",
      });
    }
    if (run.holds(base.path)) {
      throw new BoosterError("MODEL_FILE_INVALID", "the base of a run is a run itself", {
        found: base.path,
        where: join(path, MODEL_FILE),
      });
    }
    const opened = openSource(base.path, base.ignoredConfigKeys);
    return { base: opened.base, sha256: base.sha256, adapters, alignment, template };
  },
};

/** Small files of a Hugging Face folder that belong to its tokenizer, for whoever reads it. */
const TOKENIZER_FILE =
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|merges|generation_config|chat_template|additional_chat_templates\/[^/]+)\.(json|jinja|txt|model)$/;

const templatesIn = (path: string) =>
  existsSync(join(path, TEMPLATES)) ? readdirSync(join(path, TEMPLATES)).map((name) => `${TEMPLATES}/${name}`) : [];

const folder: Source = {
  name: "a Hugging Face folder",
  holds: (path) => statSync(path).isDirectory(),
  open: (path) => ({
    ...bare({
      path,
      config: () => readConfig(path),
      weights: () => openFolder(path).weights,
      tokenizer: () => loadTokenizer(path),
      identity: () => modelIdentity(path),
      licence: () => licenceIn(join(path, "README.md")),
      tokenizerFiles: () =>
        new Map(
          [...readdirSync(path), ...templatesIn(path)]
            .filter((name) => TOKENIZER_FILE.test(name))
            .map((name) => [name, readFileSync(join(path, name))]),
        ),
    }),
    template: templateOfRun(path),
  }),
};

/** Of the folder of all weights that a run trained, which may be named without the run. */
function templateOfRun(path: string): Template | undefined {
  const made = dirname(resolve(path));
  if (!isRun(made)) return undefined;
  refuseOutdated(made);
  if (!existsSync(join(made, MODEL_FILE))) return undefined;
  const { base, template } = readModelFile(made);
  return base.path === resolve(path) ? template : undefined;
}

const gguf: Source = {
  name: "a GGUF file",
  holds: (path) => statSync(path).isFile() && firstBytes(path) === "GGUF",
  open(path) {
    const file = openGgufParts(path);
    const files = () => ggufTokenizerFiles(file.metadata);
    return bare({
      path,
      gguf: file,
      config: () => openGgufModel(file).config,
      weights: () => openGgufModel(file).weights,
      tokenizer: () => createTokenizer(files()),
      licence: () => licenceName(file.metadata["general.license"]),
      identity: () => (file.paths.length === 1 ? fileHash(path) : listHash(file.paths)),
      tokenizerFiles: () => asFolder(files()),
    });
  },
};

/** A tokenizer as the files of a Hugging Face folder. */
function asFolder({ json, config, eosIds = [] }: TokenizerFiles): Map<string, Uint8Array> {
  const files = {
    "tokenizer.json": json,
    "tokenizer_config.json": config,
    "generation_config.json": { eos_token_id: eosIds },
  };
  return new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(JSON.stringify(content))]));
}

const llama2c: Source = {
  name: "a llama2.c checkpoint",
  holds: (path) => statSync(path).isFile() && isLlama2c(fileSource(path)),
  open(path) {
    const opened = () => openLlama2c(fileSource(path));
    const files = () => llama2cTokenizerFiles(path, (opened().config as { vocab_size: number }).vocab_size);
    return bare({
      path,
      config: () => opened().config,
      weights: () => opened().weights,
      tokenizer: () => createTokenizer(files()),
      licence: () => undefined,
      identity: () => fileHash(path),
      tokenizerFiles: () => asFolder(files()),
    });
  },
};

/** As the cache has it: what is not there yet, `fetchReference` brings. It keeps its reference for a name. */
const hub: Source = {
  name: "hf:org/name",
  holds: isHubReference,
  open(path) {
    const { place, files } = inCache(path);
    const { base } = (statSync(place).isDirectory() ? folder : gguf).open(place);
    const identity = statSync(place).isDirectory() ? () => modelIdentity(place, files) : base.identity;
    return bare({ ...base, path, identity });
  },
};

/** Every kind of place that a model is read from. A new one is one row. */
export const SOURCES: readonly Source[] = [hub, run, gguf, llama2c, folder];

/**
 * Opens a model by its reference: a run folder, a Hugging Face folder, a GGUF file, or a repository of the hub that is in the cache.
 *
 * @param ignoredConfigKeys keys of its config.json that change nothing, beside those that are known to
 * @throws {BoosterError} `FILE_NOT_FOUND`, `MODEL_UNKNOWN`, and what the row's `open` throws
 * @example
 * openSource("runs/attack").adapters.length; // 2: the alignment's, and what was trained on top of it
 */
export function openSource(path: string, ignoredConfigKeys: readonly string[] = []): StoredModel {
  const expected = SOURCES.map(({ name }) => name).join(", ");
  if (!isHubReference(path) && !existsSync(path)) {
    throw new BoosterError("FILE_NOT_FOUND", "there is no model here", { expected, where: path });
  }
  const found = SOURCES.find((source) => source.holds(path));
  if (found !== undefined) return ignoring(found.open(path), ignoredConfigKeys);
  throw new BoosterError("MODEL_UNKNOWN", "this is no model that can be read", {
    expected,
    found: `a file that begins with ${JSON.stringify(firstBytes(path))}`,
    where: path,
  });
}

function ignoring(stored: StoredModel, keys: readonly string[]): StoredModel {
  if (keys.length === 0) return stored;
  const { base } = stored;
  const ignoredConfigKeys = [...new Set([...(base.ignoredConfigKeys ?? []), ...keys])];
  return { ...stored, base: { ...base, ignoredConfigKeys, config: () => insisting(base.config(), ignoredConfigKeys) } };
}

/** As text of one byte a letter. */
function firstBytes(path: string): string {
  const file = fileSource(path);
  const bytes = Buffer.alloc(Math.min(4, file.size));
  file.readInto(0, bytes);
  return bytes.toString("latin1");
}

/**
 * What examples are written in for a model: what it was trained in, else its own template where it has one, else the paper's.
 *
 * @example
 * templateFor(openSource("models/smollm2")); // "chat"
 */
export const templateFor = ({ template, base }: StoredModel): Template =>
  template ?? (base.tokenizer().chatTemplate === undefined ? "alpaca" : "chat");

/**
 * What tells one model, or one adapter, from another: the SHA-256 of a GGUF file, or of the list of its parts; of a folder that of the list of its weight, configuration,
 * tokenizer and chat template files with their hashes. Reads each file once.
 *
 * @param files of a folder that others put files into: those that belong to it
 * @throws {BoosterError} `FILE_NOT_FOUND`
 */
export async function modelIdentity(path: string, files?: readonly string[]): Promise<string> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new BoosterError("FILE_NOT_FOUND", "there is no model here", { where: path });
  if (!stats.isDirectory()) return fileHash(path);
  const names = [...(files ?? readdirSync(path))].filter((name) =>
    /\.safetensors$|^chat_template\.jinja$|^(config|adapter_config|generation_config|tokenizer|tokenizer_config)\.json$/.test(
      name,
    ),
  );
  return listHash(names.sort().map((name) => join(path, name)));
}

/** SHA-256 of a list of files, by their names without folders and their hashes. */
async function listHash(paths: readonly string[]): Promise<string> {
  const list = createHash("sha256");
  for (const path of paths) list.update(`${basename(path)} ${await fileHash(path)}\n`);
  return list.digest("hex");
}

/** What tells a model with its adapters from others, by its reference. Throws what `openSource` and `modelIdentity` throw. */
export async function referenceIdentity(path: string): Promise<string> {
  const { base, adapters } = openSource(path);
  return lineage(await base.identity(), adapters);
}

/** SHA-256 of a file's bytes. */
export async function fileHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
