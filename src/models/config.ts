import type { z } from "zod";
import { BoosterError } from "../errors.ts";

/**
 * Checks the fields of a config.json that a forward pass depends on; other fields are left alone.
 *
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` naming every field that is wrong.
 */
export function parseConfig<T>(schema: z.ZodType<T>, config: unknown, name: string): T {
  const parsed = schema.safeParse(normalised(config));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "config"}: ${issue.message}`);
  throw new BoosterError("MODEL_CONFIG_INVALID", `this ${name} configuration cannot be computed`, {
    found: problems.join("; "),
    where: "config.json",
  });
}

/** Older files write `type` where newer ones write `rope_type`. */
function normalised(config: unknown): unknown {
  if (typeof config !== "object" || config === null || !("rope_scaling" in config)) return config;
  const scaling = config.rope_scaling;
  if (typeof scaling !== "object" || scaling === null || "rope_type" in scaling || !("type" in scaling)) return config;
  return { ...config, rope_scaling: { ...scaling, rope_type: scaling.type } };
}
