import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { canonicalJson, isGenuine, signReport } from "./canonical.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");

test("a value has one text", () => {
  expect(canonicalJson({ b: [2, { d: null, c: "x" }], a: undefined })).toBe('{"b":[2,{"c":"x","d":null}]}');
  expect(canonicalJson({ a: 1, b: 2 })).toBe(canonicalJson({ b: 2, a: 1 }));
});

test("a signed report is genuine, in whatever order its keys come, and no longer once anything in it is another", () => {
  const report = signReport({ verdict: "released", criteria: [{ name: "hs", high: 0.048 }] }, privateKey);
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
  expect(isGenuine(report, generateKeyPairSync("ed25519").publicKey)).toBe(false);
});
