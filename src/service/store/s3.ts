import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AwsClient } from "aws4fetch";
import { BoosterError } from "../../errors.ts";
import { ServiceError } from "../domain/service-error.ts";

/** Tries of one request. */
const TRIES = 6;

/** Errors of 400 that another try ends: the storage waited too long, or got other bytes than were sent. */
const PASSING = ["RequestTimeout", "XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody"];

/** Milliseconds. */
export interface S3Times {
  /** Until the second try; later ones wait twice as long each. */
  readonly firstWait: number;
  /** A request that tells nothing for so long is made again. */
  readonly silent: number;
}
const TIMES: S3Times = { firstWait: 200, silent: 30_000 };

/** Seconds after which a client is told to come again. */
const RETRY_SECONDS = 5;

/** Where blobs lie in an object storage. */
export interface S3Place {
  /** With the bucket, without a slash at its end. */
  readonly url: string;
  /** Before every key, with a slash at its end, or nothing. */
  readonly prefix: string;
  readonly region: string;
}

/**
 * Reads `s3://bucket/prefix?endpoint=https://...&region=...&style=path|host`. Without an endpoint the bucket is Amazon's.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`
 */
export function placeOf(address: string): S3Place {
  const wrong = (found: string): BoosterError =>
    new BoosterError("OPTIONS_CONFLICT", "this names no object storage", {
      expected: "s3://bucket/prefix?endpoint=https://host&region=name&style=path|host",
      found,
    });
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol !== "s3:" || url.hostname === "") throw wrong("no address of this form");
  if (url.username !== "" || url.password !== "") throw wrong("credentials, which come from the environment");
  const bucket = url.hostname;
  const known = ["endpoint", "region", "style"];
  for (const name of url.searchParams.keys()) if (!known.includes(name)) throw wrong(name);
  const given = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
  const region = given("region") ?? process.env.AWS_REGION ?? "us-east-1";
  const endpoint = given("endpoint") ?? `https://s3.${region}.amazonaws.com`;
  if (!/^https?:\/\/[^/?#@]+\/?$/.test(endpoint)) throw wrong("an endpoint that is no https address of a host");
  const style = given("style") ?? (given("endpoint") === undefined ? "host" : "path");
  if (style !== "path" && style !== "host") throw wrong(`style=${style}`);
  const at = new URL(endpoint);
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
  if (!/^[\w./-]*$/.test(prefix)) throw wrong("a prefix of other letters than A-Z, a-z, 0-9, . _ / -");
  return {
    url: style === "path" ? `${at.origin}/${bucket}` : `${at.protocol}//${bucket}.${at.host}`,
    prefix: prefix === "" ? "" : `${prefix}/`,
    region,
  };
}

export interface S3Ask {
  readonly method?: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly range?: string;
  /** What is an answer and no fault, besides success. */
  readonly also?: readonly number[];
}

/** An answer whose body has not been read yet: whoever reads it resets the clock with `heard`, and ends with `done`. */
export interface S3Answer {
  readonly response: Response;
  readonly heard: () => void;
  readonly done: () => void;
}

/** Requests to one bucket, signed; those that may pass are made again with growing pauses. */
export class S3 {
  readonly #client: AwsClient;

  /** @throws {BoosterError} `OPTION_MISSING` without credentials in the environment */
  constructor(
    readonly place: S3Place,
    private readonly times = TIMES,
  ) {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = process.env;
    if (accessKeyId === undefined || secretAccessKey === undefined) {
      throw new BoosterError("OPTION_MISSING", "no credentials of the object storage are known", {
        expected: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
      });
    }
    this.#client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      ...(AWS_SESSION_TOKEN === undefined ? {} : { sessionToken: AWS_SESSION_TOKEN }),
      service: "s3",
      region: place.region,
      retries: 0,
    });
  }

  /** One try. What may pass is told as `undefined`. @throws {ServiceError} `storage_unavailable` for all that will not */
  async once(path: string, { method = "GET", body, range, also = [] }: S3Ask): Promise<S3Answer | undefined> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.times.silent);
    const done = (): void => clearTimeout(timer);
    try {
      const signed = await this.#client.sign(this.place.url + path, {
        method,
        headers: {
          "x-amz-content-sha256": createHash("sha256")
            .update(body ?? new Uint8Array())
            .digest("hex"),
          ...(range === undefined ? {} : { range }),
        },
      });
      const response = await fetch(signed.url, {
        method,
        headers: signed.headers,
        redirect: "manual",
        signal: stop.signal,
        ...(body === undefined ? {} : { body }),
      });
      if (response.ok || also.includes(response.status)) return { response, done, heard: () => timer.refresh() };
      const text = (await response.text()).slice(0, 4096);
      done();
      const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? "";
      const passes = response.status >= 500 || [408, 429].includes(response.status) || PASSING.includes(code);
      if (passes) return undefined;
      throw unavailable(`${method} is answered ${response.status} ${code}`);
    } catch (error) {
      done();
      if (error instanceof ServiceError) throw error;
      return undefined;
    }
  }

  /** Does `work` until it gives something. @throws {ServiceError} `storage_unavailable` */
  async repeat<T>(work: () => Promise<T | undefined>): Promise<T> {
    for (let tries = 1; tries <= TRIES; tries++) {
      const got = await work();
      if (got !== undefined) return got;
      if (tries < TRIES) await sleep(this.times.firstWait * 2 ** (tries - 1) * (0.5 + Math.random() / 2));
    }
    throw unavailable(`no answer in ${TRIES} tries`);
  }

  /** A request and the whole text of its answer. */
  ask(path: string, ask: S3Ask): Promise<{ readonly response: Response; readonly text: string }> {
    return this.repeat(async () => {
      const answer = await this.once(path, ask);
      if (answer === undefined) return undefined;
      try {
        return { response: answer.response, text: await answer.response.text() };
      } catch {
        return undefined;
      } finally {
        answer.done();
      }
    });
  }
}

export const unavailable = (found: string): ServiceError =>
  new ServiceError("storage_unavailable", "the object storage does not do what is asked of it", {
    found,
    retryAfter: RETRY_SECONDS,
  });
