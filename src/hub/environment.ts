import { existsSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import { hubHome } from "../formats/hub/cache.ts";
import { addressOf } from "./asking.ts";

const PUBLIC_HUB = "https://huggingface.co";
/** The file in the working folder that the paper's code reads. */
const LOCAL_TOKEN = "huggingface_token.txt";
const MAX_TOKEN_BYTES = 10_000;
const DEFAULT_TIMEOUT_SECONDS = 10;

/** What opens private and gated repositories, and where it was found, which may be told. */
export interface Token {
  readonly secret: string;
  readonly from: string;
}

/** The hub, and who asks. */
export interface Hub {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token: Token | undefined;
  /** Longest silence of the hub, in milliseconds. */
  readonly timeoutMs: number;
}

/** Whether no connection may be opened: `HF_HUB_OFFLINE`, which `--offline` sets, or `TRANSFORMERS_OFFLINE`. */
export const isOffline = (): boolean =>
  ["1", "ON", "YES", "TRUE"].includes(
    (process.env.HF_HUB_OFFLINE || process.env.TRANSFORMERS_OFFLINE || "").toUpperCase(),
  );

/**
 * The hub as the environment says: `HF_ENDPOINT`, the token, and `HF_HUB_DOWNLOAD_TIMEOUT` in seconds.
 *
 * @throws {BoosterError} `HUB_ACCESS` for a token that is none, `CONFIG_INVALID` for an address or a time that is none
 */
export function hubFromEnvironment(): Hub {
  const endpoint = (process.env.HF_ENDPOINT || PUBLIC_HUB).replace(/\/+$/, "");
  if (!/^https?:$/.test(addressOf(endpoint)?.protocol ?? "")) {
    throw new BoosterError("CONFIG_INVALID", "HF_ENDPOINT is no address of a hub", {
      expected: PUBLIC_HUB,
      found: JSON.stringify(endpoint),
    });
  }
  const seconds = Number(process.env.HF_HUB_DOWNLOAD_TIMEOUT || DEFAULT_TIMEOUT_SECONDS);
  if (!(seconds > 0 && seconds < 86_400)) {
    throw new BoosterError("CONFIG_INVALID", "HF_HUB_DOWNLOAD_TIMEOUT is no number of seconds", {
      found: JSON.stringify(process.env.HF_HUB_DOWNLOAD_TIMEOUT),
    });
  }
  return { endpoint, token: findToken(), timeoutMs: seconds * 1000 };
}

/** Where a token is kept: told to who needs one. */
export const tokenFile = (): string => process.env.HF_TOKEN_PATH || join(hubHome(), "token");

/** In this order: `HF_TOKEN`, the file of the Hugging Face tools, the one in the working folder. */
function findToken(): Token | undefined {
  for (const variable of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const token = tokenOf(process.env[variable] ?? "", variable);
    if (token !== undefined) return token;
  }
  for (const file of [tokenFile(), LOCAL_TOKEN]) {
    if (!existsSync(file)) continue;
    const token = tokenOf(new TextDecoder().decode(readSmallFile(file, MAX_TOKEN_BYTES)), file);
    if (token !== undefined) return token;
  }
  return undefined;
}

function tokenOf(text: string, from: string): Token | undefined {
  const secret = text.trim();
  if (secret === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(secret)) return { secret, from };
  throw new BoosterError("HUB_ACCESS", "this holds more than a token", {
    expected: "one token of the hub, and nothing else",
    where: from,
  });
}
