import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";
import { isSignedBy, openSecrets } from "./secrets.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-signed-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { publicKey, sign } = openSecrets(join(folder, "one"));

/** As reports are signed when they are kept. */
function signReport(body: JsonValue) {
  const text = canonicalJson(body);
  return { body, sha256: sha256Of(text), signature: sign(text) };
}

/** As whoever holds the public key can tell. */
function isGenuine({ body, sha256, signature }: ReturnType<typeof signReport>, key: string): boolean {
  const text = canonicalJson(body);
  return sha256Of(text) === sha256 && isSignedBy(key, text, signature);
}

test("a value has one text", () => {
  expect(canonicalJson({ b: [2, { d: null, c: "x" }], a: undefined })).toBe('{"b":[2,{"c":"x","d":null}]}');
  expect(canonicalJson({ a: 1, b: 2 })).toBe(canonicalJson({ b: 2, a: 1 }));
});

test("a signed report is genuine, in whatever order its keys come, and no longer once anything in it is another", () => {
  const report = signReport({ verdict: "released", criteria: [{ name: "hs", high: 0.048 }] });
  expect(isGenuine(report, publicKey)).toBe(true);
  expect(
    isGenuine({ ...report, body: { criteria: [{ high: 0.048, name: "hs" }], verdict: "released" } }, publicKey),
  ).toBe(true);
  expect(
    isGenuine({ ...report, body: { verdict: "released", criteria: [{ name: "hs", high: 0.049 }] } }, publicKey),
  ).toBe(false);
  expect(isGenuine({ ...report, sha256: report.sha256.replace(/^./, (c) => (c === "0" ? "1" : "0")) }, publicKey)).toBe(
    false,
  );
  const bytes = Buffer.from(report.signature, "base64");
  for (let at = 0; at < bytes.length; at += 7) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] as number) ^ 1;
    expect(isGenuine({ ...report, signature: flipped.toString("base64") }, publicKey)).toBe(false);
  }
  expect(isGenuine(report, openSecrets(join(folder, "another")).publicKey)).toBe(false);
});
