import type { Tokenizer } from "../../formats/tokenizer.ts";
import type { TokenChance } from "./types.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A token as clients see it: its text, or its bytes where they are no text by themselves. */
export function tokenOf<Logprob>(tokenizer: Tokenizer, id: number, logprob: Logprob): TokenChance<Logprob> {
  const bytes = tokenizer.isSpecial(id) ? Buffer.from(tokenizer.tokenOf(id) ?? "") : tokenizer.bytesOf(id);
  return { id, text: textOf(bytes), bytes: [...bytes], logprob };
}

function textOf(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
