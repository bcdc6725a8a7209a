import { type KeyObject, sign, verify } from "node:crypto";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";

export { canonicalJson, sha256Of };

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
