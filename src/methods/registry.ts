import { BoosterError } from "../errors.ts";
import { booster } from "./alignment/booster.ts";
import { sft } from "./alignment/sft.ts";
import type { Method, StepContext, StepDirection } from "./method.ts";

/** A method with its options filled in: what the trainer runs. */
export interface ConfiguredMethod {
  readonly name: string;
  readonly streams: readonly string[];
  readonly options: unknown;
  step(context: StepContext): StepDirection;
}

/** A row of the table: a method with its option type hidden behind its own schema. */
interface Row {
  readonly name: string;
  readonly method: Method;
  configure(options: unknown): ConfiguredMethod;
}

function row<Options>(method: Method<Options>): Row {
  return {
    name: method.name,
    method: method as Method,
    configure(raw) {
      const parsed = method.options.safeParse(raw);
      if (!parsed.success) {
        throw new BoosterError("METHOD_OPTIONS_INVALID", `these options do not fit ${method.name}`, {
          found: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "),
        });
      }
      const options = parsed.data;
      return { name: method.name, streams: method.streams, options, step: (context) => method.step(context, options) };
    },
  };
}

/** Every training method. A new one is one file and one row. */
export const METHODS: readonly Row[] = [row(sft), row(booster)];

/**
 * A method by name, its options checked and completed with the paper's defaults.
 *
 * @throws {BoosterError} `UNKNOWN_METHOD`, `METHOD_OPTIONS_INVALID`.
 * @example
 * configureMethod("booster", { lambda: 5, alpha: 0.1 });
 */
export function configureMethod(name: string, options: unknown = {}): ConfiguredMethod {
  const found = METHODS.find((candidate) => candidate.name === name);
  if (found === undefined) {
    throw new BoosterError("UNKNOWN_METHOD", "no such method", {
      expected: METHODS.map((candidate) => candidate.name).join(", "),
      found: name,
    });
  }
  return found.configure(options);
}
