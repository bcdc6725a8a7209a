import { createHmac } from "node:crypto";
import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { LIMITS } from "../domain/limits.ts";
import type { WebhookMessage, WebhookTry } from "../domain/webhook.ts";
import type { Reach } from "./address.ts";

/** Finds all addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

const resolveAll: Resolve = (hostname) =>
  new Promise((done, fail) => {
    dnsLookup(hostname, { all: true, verbatim: true }, (error, all) => (error === null ? done(all) : fail(error)));
  });

export interface SendOptions {
  readonly reach: Reach;
  readonly version: string;
  /** Seconds since 1970, for the signature: receivers refuse what is older than minutes. */
  readonly now: () => number;
  readonly resolve?: Resolve;
  readonly seconds?: number;
}

/** What keeps an address from being asked at all. */
class Forbidden extends Error {}

/** The host of an address as sockets know it: without the brackets of IPv6. */
const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, "$1");

/**
 * What is wrong with an address for webhooks, as far as it shows without asking for its name; undefined where nothing is.
 *
 * @example
 * faultOf("https://127.0.0.1/", reachOf([])); // "its address is not a public one"
 */
export function faultOf(address: string, reach: Reach): string | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) return "it is no https address";
  if (url.username !== "" || url.password !== "") return "a name and a password do not belong into it";
  const host = hostOf(url);
  if (url.protocol === "http:" && !reach.allowsHost(host)) return "it is without TLS";
  if (isIP(host) !== 0 && !reach.allows(host)) return "its address is not a public one";
  return undefined;
}

/** `v1,<base64>` over id, time and body: what clients' `webhooks.unwrap` verifies. */
export const signatureOf = (key: Uint8Array, { id, body }: WebhookMessage, time: number): string =>
  `v1,${createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64")}`;

/**
 * Tells a receiver, once. The addresses of its name are asked for here and checked, and the connection goes to one of those that were checked; redirects are not
 * followed; of the answer only the status counts. Never throws.
 */
export async function send(
  target: { readonly url: string; readonly key: Uint8Array },
  message: WebhookMessage,
  { reach, version, now, resolve = resolveAll, seconds = LIMITS.webhookSeconds }: SendOptions,
): Promise<WebhookTry> {
  if (faultOf(target.url, reach) !== undefined) return { outcome: "forbidden" };
  const url = new URL(target.url);
  const time = now();
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname).then(
      (all) => {
        const closed = reach.allowsHost(hostname) ? [] : all.filter(({ address }) => !reach.allows(address));
        // One closed address among open ones is a trap.
        if (closed.length > 0 || all[0] === undefined) return callback(new Forbidden("not a public address"), "", 0);
        if (options.all === true) return callback(null, [...all]);
        callback(null, all[0].address, all[0].family);
      },
      (error: Error) => callback(error, "", 0),
    );
  };
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
    method: "POST",
    agent: false,
    lookup,
    signal: AbortSignal.timeout(seconds * 1000),
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(message.body),
      "user-agent": `booster/${version}`,
      "webhook-id": message.id,
      "webhook-timestamp": String(time),
      "webhook-signature": signatureOf(target.key, message, time),
    },
  });
  try {
    const response = await answerTo(request, message.body);
    // A body that fails or never ends changes nothing: the status has said it.
    await skim(response).catch(() => undefined);
    return { outcome: outcomeOf(response.statusCode ?? 0), status: response.statusCode ?? 0 };
  } catch (error) {
    if (error instanceof Forbidden) return { outcome: "forbidden" };
    return { outcome: error instanceof Error && error.name === "AbortError" ? "timeout" : "unreachable" };
  } finally {
    request.destroy();
  }
}

/** Both as one thing that a server is given. */
export const senderOf = (options: SendOptions) => ({
  faultOf: (address: string) => faultOf(address, options.reach),
  isNamed: (address: string) => options.reach.allowsHost(hostOf(new URL(address))),
  send: (target: Parameters<typeof send>[0], message: WebhookMessage) => send(target, message, options),
});

const answerTo = (request: ClientRequest, body: string): Promise<IncomingMessage> =>
  new Promise((done, fail) => {
    // Errors after the answer has come are those of its body, which nobody needs.
    request.on("error", fail);
    request.once("response", done);
    request.end(body);
  });

/** Takes in a short answer, so that its sender sees it taken; of a longer one the rest is left. */
async function skim(response: IncomingMessage): Promise<void> {
  let bytes = 0;
  for await (const part of response) {
    bytes += (part as Buffer).length;
    if (bytes > LIMITS.webhookAnswerBytes) return;
  }
}

function outcomeOf(status: number): WebhookTry["outcome"] {
  if (status >= 200 && status < 300) return "delivered";
  if (status >= 300 && status < 400) return "redirected";
  return status === 410 ? "gone" : "refused";
}
