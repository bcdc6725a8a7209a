import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { isPublic } from "../../formats/addresses.ts";

/** Longest answer that is read. */
const MOST_BYTES = 16 * 2 ** 20;
/** Statuses whose answers have no body. */
const BARE = [204, 205, 304];

const closed = (): Error => new Error("the address is not a public one");

/** Asks for a name once, and lets the connection go to what was checked: a second question might be answered otherwise. */
const lookup: LookupFunction = (hostname, options, callback) =>
  dnsLookup(hostname, { all: true, verbatim: true }, (error, all: LookupAddress[] = []) => {
    const [first] = all;
    if (error !== null) return callback(error, "", 0);
    // One closed address among open ones is a trap.
    if (first === undefined || !all.every(({ address }) => isPublic(address))) return callback(closed(), "", 0);
    if (options.all === true) return callback(null, all);
    callback(null, first.address, first.family);
  });

/**
 * A request to a server that must be on the internet, whatever its name means at this moment; redirects are not followed.
 *
 * @throws {Error} for an address inside, and as `fetch` where it cannot be reached
 */
export function postPublic(
  address: string,
  {
    headers,
    body,
    signal,
  }: { readonly headers: Record<string, string>; readonly body: string; readonly signal: AbortSignal },
): Promise<Response> {
  const url = new URL(address);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve, reject) => {
    if (isIP(host) !== 0 && !isPublic(host)) return reject(closed());
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const length = { "content-length": String(Buffer.byteLength(body)) };
    const request = send(url, { method: "POST", agent: false, lookup, signal, headers: { ...headers, ...length } });
    request.once("error", reject);
    request.once("response", async (incoming) => {
      try {
        const chunks: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of incoming as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          if (bytes > MOST_BYTES) throw new Error(`the answer has more than ${MOST_BYTES} bytes`);
          chunks.push(chunk);
        }
        const status = incoming.statusCode ?? 500;
        const after = incoming.headers["retry-after"];
        resolve(
          new Response(BARE.includes(status) ? null : Buffer.concat(chunks), {
            status,
            headers: after === undefined ? {} : { "retry-after": after },
          }),
        );
      } catch (error) {
        reject(error);
      } finally {
        request.destroy();
      }
    });
    request.end(body);
  });
}
