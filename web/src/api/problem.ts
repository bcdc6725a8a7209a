import type { ErrorBody } from "./types.ts";

/** What went wrong with a request, as a person is told it. */
export class Problem extends Error {
  constructor(
    message: string,
    /** 0: the server was not reached. */
    readonly status: number,
    readonly code: string,
    readonly requestId?: string,
    readonly details: NonNullable<ErrorBody["booster"]> & { readonly param?: string } = {},
    /** When the same may be asked again, where the server says so; seconds. */
    readonly retryAfter?: number | undefined,
  ) {
    super(message);
  }

  get offline(): boolean {
    return this.status === 0;
  }

  get forbidden(): boolean {
    return this.status === 403;
  }
}

export const offline = (): Problem =>
  new Problem("The server does not answer.", 0, "offline", undefined, {
    hint: "This page goes on by itself as soon as it does.",
  });

/** The error that an answer tells, whatever form it has. */
export async function problemOf(response: Response): Promise<Problem> {
  const requestId = response.headers.get("x-request-id") ?? undefined;
  const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
  try {
    const { error } = (await response.json()) as { error: ErrorBody };
    return told(error, response.status, requestId, Number.isNaN(retryAfter) ? undefined : retryAfter);
  } catch {
    return new Problem(`The server answered with ${response.status}.`, response.status, "unreadable_answer", requestId);
  }
}

/** An error in the form of the API. The hint stands in the message too, where clients without this page look for it. */
export function told(
  error: ErrorBody,
  status: number,
  requestId: string | undefined,
  retryAfter?: number | undefined,
): Problem {
  const { booster = {}, param, code } = error;
  const ending = booster.hint === undefined ? "" : `. ${booster.hint}`;
  const message = error.message.endsWith(ending)
    ? error.message.slice(0, error.message.length - ending.length)
    : error.message;
  const details = { ...booster, ...(param === null ? {} : { param }) };
  return new Problem(sentence(message), status, code ?? "unknown", requestId, details, retryAfter);
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
