import { randomBytes } from "node:crypto";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** What each kind of object is called by. */
export const ID_PREFIXES = {
  org: "org-",
  project: "proj_",
  key: "key_",
  file: "file-",
  upload: "upload_",
  part: "part_",
  job: "ftjob-",
  event: "ftevent-",
  checkpoint: "ftckpt_",
  grant: "cp_",
  decision: "decision_",
  audit: "audit_log-",
  request: "req_",
  moderation: "modr-",
  webhook: "webhook_",
  webhookEvent: "evt_",
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

/** `length` letters and digits, each equally likely. */
export function randomBase62(length: number): string {
  let text = "";
  while (text.length < length) {
    // Bytes from 248 on would make the first letters likelier than the others.
    for (const byte of randomBytes(length)) if (byte < 248) text += BASE62[byte % 62];
  }
  return text.slice(0, length);
}

/** A new id: the prefix of its kind and 24 random letters or digits. */
export const newId = (kind: IdKind): string => ID_PREFIXES[kind] + randomBase62(24);
