import type { ErrorCode } from "../../error-codes.ts";
import type { Failure } from "../../train/child.ts";
import { type ServiceCode, ServiceError } from "../domain/service-error.ts";

/** After how many seconds somebody who was refused for want of room may try again. */
const RETRY_SECONDS = 5;

/** Errors of the library that a request brings about; all others are defects, of the server or of a model. */
const OF_REQUESTS: { readonly [Code in ErrorCode]?: ServiceCode } = {
  CHAT_TEMPLATE_MISSING: "invalid_value",
  ENGINE_OVERLOADED: "engine_overloaded",
  PROMPT_EMPTY: "invalid_value",
  PROMPT_TOO_LONG: "context_length_exceeded",
  SAMPLING_INVALID: "invalid_value",
  SPECIAL_TOKEN_IN_TEXT: "invalid_value",
  TEMPLATE_DROPS_CONTENT: "invalid_value",
  TEMPLATE_FAILED: "invalid_value",
  TEMPLATE_MISMATCH: "invalid_value",
  TEMPLATE_OUTPUT_TOO_LARGE: "invalid_value",
  TOKEN_UNKNOWN: "invalid_value",
};

/** What a request is told of an engine's failure. */
export function serviceError({ code, problem, details }: Failure): ServiceError {
  const known = OF_REQUESTS[code];
  if (known === undefined) {
    return new ServiceError("internal_error", "the model could not answer", {
      ...(code === "NON_FINITE_LOGITS" ? { found: "numbers that are none" } : {}),
      cause: new Error(`${code}: ${problem}`),
    });
  }
  const { expected, found, where, hint } = details;
  const told = { expected, found, where, hint };
  return new ServiceError(known, problem, {
    ...Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)),
    ...(known === "engine_overloaded" ? { retryAfter: RETRY_SECONDS } : {}),
  });
}

export const unloadable = (): ServiceError =>
  new ServiceError("internal_error", "the base model of this name cannot be loaded");
