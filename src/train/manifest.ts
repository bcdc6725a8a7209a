import { createHash } from "node:crypto";
import { z } from "zod";
import { BoosterError } from "../errors.ts";

/** Version of the checkpoint layout that this code writes; older ones are read, newer ones refused. */
export const CHECKPOINT_VERSION = 1;

const body = z.strictObject({
  format: z.literal("booster-checkpoint"),
  version: z.int(),
  /** Optimiser steps done. */
  step: z.int().min(0),
  /** Hash of the resolved configuration and the data: a checkpoint continues only the run that wrote it. */
  fingerprint: z.string(),
  /** Versions of the programs that wrote it, for the record. */
  environment: z.record(z.string(), z.string()),
  /** State of the loop: counters, and the length of the metrics file. */
  counters: z.record(z.string(), z.number()),
  files: z.record(z.string(), z.strictObject({ bytes: z.int(), sha256: z.string() })),
});

/** What a checkpoint folder contains and what it belongs to. */
export type Manifest = Readonly<z.infer<typeof body>>;

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** A manifest as bytes, its own checksum included. */
export const encodeManifest = (manifest: Manifest): Uint8Array => seal(manifest);

/**
 * Reads a manifest. Any bit that differs from what `encodeManifest` wrote, white space included, makes it invalid.
 *
 * @returns the manifest, or a sentence saying what is wrong with it.
 * @throws {BoosterError} `CHECKPOINT_TOO_NEW` when a later version of this program wrote it.
 */
export function decodeManifest(bytes: Uint8Array, where: string): Manifest | string {
  const content = unseal(bytes);
  if (content === undefined) return "its manifest does not match its own checksum";
  const { version } = content;
  if (typeof version === "number" && version > CHECKPOINT_VERSION) {
    throw new BoosterError("CHECKPOINT_TOO_NEW", "a later version of this program wrote this checkpoint", {
      expected: `format version ${CHECKPOINT_VERSION} or older`,
      found: `${version}`,
      where,
      hint: "Resume with the program that wrote it",
    });
  }
  const parsed = body.safeParse(content);
  return parsed.success ? parsed.data : "its manifest lacks fields or has unknown ones";
}

/** The checksum rule stays the same in all format versions, so that a new format is told from a damaged one. */
function seal(content: Readonly<Record<string, unknown>>): Uint8Array {
  const checksum = sha256(JSON.stringify(content));
  return new TextEncoder().encode(`${JSON.stringify({ ...content, checksum }, undefined, 2)}\n`);
}

function unseal(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  const { checksum: _, ...content } = json as Record<string, unknown>;
  return Buffer.compare(seal(content), bytes) === 0 ? content : undefined;
}
