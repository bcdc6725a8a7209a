import { expect, test } from "vitest";
import { decodeManifest, encodeManifest, type Manifest } from "./manifest.ts";

const manifest: Manifest = {
  format: "booster-checkpoint",
  version: 1,
  step: 120,
  fingerprint: "ab",
  environment: { node: "20", "10": "keys that look like numbers come first" },
  counters: { metricsBytes: 77, tokens: 1e12 },
  files: { "state.safetensors": { bytes: 12, sha256: "cd" } },
};

test("round trip", () => {
  expect(decodeManifest(encodeManifest(manifest), "m")).toEqual(manifest);
});

test("every single bit counts, white space included", () => {
  const bytes = encodeManifest(manifest);
  for (let at = 0; at < 8 * bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at >> 3]! ^= 1 << (at & 7);
    expect(decodeManifest(damaged, "m"), `bit ${at}`).toBe("its manifest does not match its own checksum");
  }
});

test("a newer version is refused, not taken for damage", () => {
  const newer = { ...manifest, version: 2, shards: 4 } as Manifest;
  expect(() => decodeManifest(encodeManifest(newer), "m")).toThrow(
    expect.objectContaining({ code: "CHECKPOINT_TOO_NEW" }),
  );
});

test("unknown fields are refused", () => {
  const odd = { ...manifest, extra: 1 } as Manifest;
  expect(decodeManifest(encodeManifest(odd), "m")).toBe("its manifest lacks fields or has unknown ones");
});
