import type { ErrorDetails } from "../../errors.ts";

/** Every code that an answer may carry: its HTTP status, and its type, by which clients choose their class of error. A state that forbids something is 400: clients repeat 409 by themselves. */
export const SERVICE_CODES = {
  invalid_value: [400, "invalid_request_error"],
  malformed_request: [400, "invalid_request_error"],
  invalid_json: [400, "invalid_request_error"],
  missing_required_parameter: [400, "invalid_request_error"],
  unknown_parameter: [400, "invalid_request_error"],
  unsupported_parameter: [400, "invalid_request_error"],
  method_unsupported: [400, "invalid_request_error"],
  file_not_found: [400, "invalid_request_error"],
  invalid_training_file: [400, "invalid_request_error"],
  invalid_validation_file: [400, "invalid_request_error"],
  invalid_job_state: [400, "invalid_request_error"],
  invalid_upload_state: [400, "invalid_request_error"],
  invalid_policy: [400, "invalid_request_error"],
  policy_violation: [400, "invalid_request_error"],
  context_length_exceeded: [400, "invalid_request_error"],
  idempotency_mismatch: [400, "invalid_request_error"],
  lease_lost: [400, "invalid_request_error"],
  project_archived: [400, "invalid_request_error"],
  invalid_api_key: [401, "invalid_request_error"],
  key_revoked: [401, "invalid_request_error"],
  key_expired: [401, "invalid_request_error"],
  session_ended: [401, "invalid_request_error"],
  mismatched_project: [401, "invalid_request_error"],
  missing_scope: [403, "permission_error"],
  model_not_released: [403, "permission_error"],
  model_withdrawn: [403, "permission_error"],
  host_not_allowed: [403, "permission_error"],
  origin_not_allowed: [403, "permission_error"],
  not_found: [404, "invalid_request_error"],
  model_not_found: [404, "invalid_request_error"],
  unknown_url: [404, "invalid_request_error"],
  method_not_allowed: [405, "invalid_request_error"],
  request_timeout: [408, "invalid_request_error"],
  body_too_large: [413, "invalid_request_error"],
  unsupported_media_type: [415, "invalid_request_error"],
  headers_too_large: [431, "invalid_request_error"],
  rate_limit_exceeded: [429, "requests"],
  token_limit_exceeded: [429, "tokens"],
  engine_overloaded: [429, "requests"],
  quota_exceeded: [429, "insufficient_quota"],
  internal_error: [500, "server_error"],
  database_unavailable: [503, "server_error"],
  storage_unavailable: [503, "server_error"],
  disk_full: [503, "server_error"],
  draining: [503, "server_error"],
  engine_restarted: [503, "server_error"],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;
export type ServiceCode = keyof typeof SERVICE_CODES;

/** What an error of the service tells beside its sentence. */
export interface ServiceErrorDetails extends ErrorDetails {
  /** The field of the request that is wrong. */
  readonly param?: string;
  /** After how many seconds another try makes sense; absent where none does. */
  readonly retryAfter?: number;
}

/**
 * What a request is refused with: its code decides HTTP status and type. Never holds a tenant's text.
 *
 * @example
 * throw new ServiceError("invalid_job_state", "a job that has succeeded cannot be cancelled");
 */
export class ServiceError extends Error {
  readonly code: ServiceCode;
  readonly details: ServiceErrorDetails;

  constructor(code: ServiceCode, message: string, details: ServiceErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ServiceError";
    this.code = code;
    this.details = details;
  }
}

/** Nobody reads what is said to one who has left. */
export const givenUp = (): ServiceError => new ServiceError("request_timeout", "the request was given up");
