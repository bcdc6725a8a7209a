import { createHash, type KeyObject, sign, verify } from "node:crypto";
import type { JsonValue } from "../domain/json.ts";

/**
 * JSON with sorted keys and no blanks: one text for one value, which is what is hashed and signed. Keys whose value is undefined are left out.
 *
 * @example
 * canonicalJson({ b: 1, a: [true, null] }); // '{"a":[true,null],"b":1}'
 */
export function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, inner: JsonValue) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** SHA-256 of a text or of bytes, in hexadecimal. */
export const sha256Of = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");

/** A report as it is kept and handed out: the text that was signed, its hash, the signature. */
export interface SignedReport {
  readonly body: JsonValue;
  readonly sha256: string;
  /** Ed25519 over the canonical text, in base64. */
  readonly signature: string;
}

/** Signs a report by the server's key. */
export function signReport(body: JsonValue, key: KeyObject): SignedReport {
  const text = canonicalJson(body);
  return { body, sha256: sha256Of(text), signature: sign(null, Buffer.from(text), key).toString("base64") };
}

/** Whether a report is the one that was signed, to the last byte. */
export function isGenuine({ body, sha256, signature }: SignedReport, key: KeyObject): boolean {
  const text = canonicalJson(body);
  return sha256Of(text) === sha256 && verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"));
}
