import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BoosterError } from "../../errors.ts";
import { errnoOf, nodeFileSystem, syncDirectory } from "../../train/files.ts";
import { sha256Of } from "../domain/canonical.ts";

/** What the server signs with, and what it keeps answers of models under. */
export interface Secrets {
  /** The public half, as PEM, and its short name. */
  readonly publicKey: string;
  readonly keyId: string;
  /** Ed25519, base64. */
  sign(text: string): string;
  /** Bytes that only this server can read (AES-256-GCM). */
  seal(bytes: Uint8Array): Uint8Array;
  /** @throws {BoosterError} `SEAL_BROKEN` */
  unseal(bytes: Uint8Array): Uint8Array;
}

const NONCE = 12;
const TAG = 16;

/** Whether a text was signed by the owner of a public key (PEM). */
export const isSignedBy = (publicKey: string, text: string, signature: string): boolean =>
  verify(null, Buffer.from(text), publicKey, Buffer.from(signature, "base64"));

/** The keys of a folder, made where they are missing. Two servers that start at once end with the same. */
export function openSecrets(folder: string): Secrets {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const privateKey = createPrivateKey(
    keptIn(join(folder, "signing.pem"), () =>
      Buffer.from(generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }) as string),
    ),
  );
  const key = keptIn(join(folder, "encryption.key"), () => randomBytes(32));
  const publicKey = createPublicKey(privateKey as KeyObject).export({ type: "spki", format: "pem" }) as string;
  return {
    publicKey,
    keyId: sha256Of(publicKey).slice(0, 16),
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString("base64"),
    seal: (bytes) => {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", key, nonce);
      const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
    },
    unseal: (bytes) => {
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE), { authTagLength: TAG });
        decipher.setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
        return Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]);
      } catch (cause) {
        throw new BoosterError("SEAL_BROKEN", "what was kept under the server's key cannot be read with it", { cause });
      }
    },
  };
}

/** What a file holds, made where it is missing: a link fails where the name is taken, so all end with the same. */
function keptIn(path: string, make: () => Buffer): Buffer {
  if (!existsSync(path)) {
    const prepared = `${path}.${randomBytes(6).toString("hex")}`;
    writeFileSync(prepared, make(), { mode: 0o600, flag: "wx", flush: true });
    try {
      linkSync(prepared, path);
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
    } finally {
      unlinkSync(prepared);
    }
    syncDirectory(nodeFileSystem, dirname(path));
  }
  return readFileSync(path);
}
