import type { z } from "zod";
import { closest } from "../../choice.ts";
import { BoosterError } from "../../errors.ts";
import { SERVICE_CODES, type ServiceCode, ServiceError } from "../domain/service-error.ts";

/** Codes of the library that a request can bring about, as clients know them. All others are defects of the server, or of its machine. */
const OF_LIBRARY: Readonly<Record<string, ServiceCode>> = {
  JSON_INVALID: "invalid_json",
  JSON_TOO_DEEP: "invalid_json",
  JSON_TOO_LARGE: "invalid_json",
  JSON_DUPLICATE_KEY: "invalid_json",
  PROMPT_EMPTY: "invalid_value",
  PROMPT_TOO_LONG: "context_length_exceeded",
  SAMPLING_INVALID: "invalid_value",
  TOKEN_UNKNOWN: "invalid_value",
  DISK_FULL: "disk_full",
  DATABASE_UNAVAILABLE: "database_unavailable",
  RESULT_INVALID: "invalid_value",
  POLICY_INVALID: "invalid_policy",
  POLICY_LOOSER: "policy_violation",
  POLICY_TOO_SMALL: "invalid_policy",
  METHOD_OPTIONS_INVALID: "invalid_value",
  MODERATOR_FILES: "invalid_policy",
  TRANSFORM_OPTIONS_INVALID: "invalid_value",
  UNKNOWN_METHOD: "invalid_value",
  UNKNOWN_TRANSFORM: "invalid_value",
};

/** Seconds after which to ask again what may have passed by then. */
const PASSES: Partial<Record<ServiceCode, number>> = { database_unavailable: 2 };

/** Any error as an error of the service; what nobody foresaw becomes `internal_error` and says nothing of itself. */
export function asServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  if (error instanceof BoosterError) {
    const code = OF_LIBRARY[error.code];
    if (code !== undefined) {
      const retryAfter = PASSES[code];
      return new ServiceError(code, error.problem, {
        ...error.details,
        ...(retryAfter === undefined ? {} : { retryAfter }),
        cause: error,
      });
    }
  }
  return new ServiceError("internal_error", "something went wrong here that is no fault of the request", {
    cause: error,
    hint: "Tell whoever runs this server the request id",
  });
}

/** The one form in which errors are told, in bodies and in streams. */
export function errorBody({ code, message, details }: ServiceError) {
  const { expected, found, where, hint } = details;
  const more = { expected, found, where, hint };
  const told = Object.values(more).some((value) => value !== undefined);
  return {
    error: {
      message: hint === undefined ? message : `${message}. ${hint}`,
      type: SERVICE_CODES[code][1] as string,
      param: details.param ?? null,
      code: code as string,
      ...(told ? { booster: more } : {}),
    },
  };
}

/** The one writer of errors. Who may not try again is told so: clients repeat 429 and 5xx by themselves. */
export function errorResponse(error: ServiceError): Response {
  const { body, ...head } = errorParts(error);
  return new Response(body, head);
}

/** The same where no answer can be made by the framework. */
export function errorParts(error: ServiceError) {
  const status = SERVICE_CODES[error.code][0];
  const headers: Record<string, string> = { "content-type": "application/json" };
  const { retryAfter } = error.details;
  if (retryAfter !== undefined) {
    headers["retry-after"] = String(Math.ceil(retryAfter));
    headers["retry-after-ms"] = String(Math.ceil(retryAfter * 1000));
  } else if (status >= 500 || error.code === "quota_exceeded") headers["x-should-retry"] = "false";
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return { status, headers, body: JSON.stringify(errorBody(error)) };
}

/** What zod found wrong with a request, as the first thing that its sender should correct. */
export function invalidRequest(error: z.ZodError, place: readonly string[] = []): ServiceError {
  const issue = mainIssue(error.issues[0] as z.core.$ZodIssue);
  const path = [...place, ...issue.path.map(String)];
  const param = path.join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    const known = knownKeys(issue);
    const like = closest(key, known);
    const hint =
      like === undefined
        ? "Fields that only this service knows stand under booster"
        : `Did you mean ${[...path, like].join(".")}?`;
    const name = [...path, key].join(".").slice(0, 100);
    return new ServiceError("unknown_parameter", `there is no parameter ${name}`, { param: name, hint });
  }
  const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  return missing
    ? new ServiceError("missing_required_parameter", `the parameter ${param} is missing`, { param })
    : new ServiceError("invalid_value", `${param === "" ? "the body" : param}: ${issue.message}`, { param });
}

/** A value in the form of a schema. @throws {ServiceError} as `invalidRequest` */
export function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error);
}

/** Of a value that fits none of several forms, what keeps it from the form that it comes closest to. */
function mainIssue(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const deepest = issue.errors
    .map((errors) => mainIssue(errors[0] as z.core.$ZodIssue))
    .reduce((best, one) => (one.path.length > best.path.length ? one : best));
  return deepest.path.length > 0 ? { ...deepest, path: [...issue.path, ...deepest.path] } : issue;
}

/** The names that an object may have are told by the schema itself (`object` in wire/json.ts puts them there). */
const knownKeys = (issue: z.core.$ZodIssueUnrecognizedKeys): readonly string[] =>
  /^known are (.*)$/.exec(issue.message)?.[1]?.split(", ") ?? [];
