import { describe, expect, test } from "vitest";
import { parseGguf } from "../../src/formats/gguf.ts";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { ggufAttacks, ggufBorderline } from "./gguf.ts";
import { safetensorsAttacks, safetensorsBorderline } from "./safetensors.ts";

describe("safetensors", () => {
  test.each(safetensorsAttacks)("$name: $code", ({ bytes, code }) => {
    expect(() => parseSafetensors(bytes, "attack")).toThrow(expect.objectContaining({ name: "BoosterError", code }));
  });

  test.each(safetensorsBorderline)("$name is read", ({ bytes }) => {
    parseSafetensors(bytes, "borderline");
  });
});

describe("GGUF", () => {
  test.each(ggufAttacks)("$name: $code", ({ bytes, code }) => {
    expect(() => parseGguf(bytes, "attack")).toThrow(expect.objectContaining({ name: "BoosterError", code }));
  });

  test.each(ggufBorderline)("$name is read", ({ bytes }) => {
    parseGguf(bytes, "borderline");
  });
});
