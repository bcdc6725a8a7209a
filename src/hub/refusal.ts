import { BoosterError } from "../errors.ts";
import { parseHubReference } from "../formats/hub/reference.ts";
import { type Asking, Transient } from "./asking.ts";
import { tokenFile } from "./environment.ts";

/** What is read of a refusal. */
const MAX_SHOWN = 300;

/**
 * What an answer that is no success means, and what to do about it.
 *
 * @param isHome whether the hub itself answered, and not a store that it sent to
 */
export async function explained(
  asking: Asking,
  response: Response,
  isHome: boolean,
): Promise<BoosterError | Transient> {
  const { status, headers } = response;
  const told = headers.get("x-error-message")?.slice(0, MAX_SHOWN);
  const code = headers.get("x-error-code") ?? "";
  await response.body?.cancel();
  if (status === 408 || status === 429 || status >= 500) {
    return new Transient(`status ${status}${told === undefined ? "" : ` (${told})`}`, retryAfter(status, headers));
  }
  const details = { found: `status ${status}${code === "" ? "" : ` ${code}`}${told === undefined ? "" : `: ${told}`}` };
  if (!isHome)
    return new BoosterError("HUB_HTTP", "the hub's store refuses a file", { ...details, where: asking.what });
  if (code === "RevisionNotFound") return notFound(asking, "the repository has no such revision", details);
  if (code === "EntryNotFound") return notFound(asking, "the repository has no such file", details);
  if (code === "GatedRepo") return gated(asking, details);
  if (status === 401 && /invalid (?:credentials|username)/i.test(told ?? "") && asking.hub.token !== undefined) {
    const hint = `Make a new one at ${asking.hub.endpoint}/settings/tokens, or take it away: public repositories need none.`;
    return access(asking, `the hub does not know the token from ${asking.hub.token.from}`, { ...details, hint });
  }
  if (code === "RepoNotFound" || status === 404 || status === 401) return absentOrPrivate(asking, details);
  if (status === 403) {
    return access(asking, "the hub does not give this repository to you", {
      ...details,
      hint: `Does ${credential(asking)} have the right to read it? ${howToGiveToken(asking)}`,
    });
  }
  return new BoosterError("HUB_HTTP", "the hub refuses a request", { ...details, where: asking.what });
}

type Told = { readonly found: string; readonly hint?: string };

const access = ({ what }: Asking, problem: string, details: Told): BoosterError =>
  new BoosterError("HUB_ACCESS", problem, { ...details, where: what });

function notFound({ what, hub }: Asking, problem: string, details: Told): BoosterError {
  const hint = `What there is: ${pageOf(hub.endpoint, what)}/tree/main`;
  return new BoosterError("HUB_NOT_FOUND", problem, { ...details, where: what, hint });
}

/** The hub says the same of what is private and of what is not there. */
function absentOrPrivate(asking: Asking, details: Told): BoosterError {
  const { what, hub } = asking;
  const other = what.startsWith("hf-data:") ? "A model begins with hf:" : "A data set begins with hf-data:";
  const hint =
    hub.token === undefined
      ? `Is its name right? ${other}. A private one needs a token: ${howToGiveToken(asking)}`
      : `Is its name right? ${other}. If it is private, the token from ${hub.token.from} must have the right to read it.`;
  return new BoosterError("HUB_NOT_FOUND", "there is no such repository, or it is private", {
    ...details,
    where: what,
    hint,
  });
}

function gated(asking: Asking, details: Told): BoosterError {
  const { what, hub } = asking;
  const accept = `Accept its terms at ${pageOf(hub.endpoint, what)} with your account of the hub`;
  const hint =
    hub.token === undefined
      ? `${accept}. Then give a token of that account: ${howToGiveToken(asking)}`
      : `${accept}, the one that the token from ${hub.token.from} belongs to; some owners take a while to answer, and the token needs the right to read gated repositories.`;
  return access(asking, "this repository is gated: its owner wants its terms accepted first", { ...details, hint });
}

const credential = ({ hub }: Asking): string =>
  hub.token === undefined ? "your account" : `the token from ${hub.token.from}`;

const howToGiveToken = ({ hub }: Asking): string =>
  `make one at ${hub.endpoint}/settings/tokens and put it into HF_TOKEN, or into the file ${tokenFile()} or ./huggingface_token.txt.`;

/** Where a person looks at a repository. */
function pageOf(endpoint: string, what: string): string {
  const { kind, name } = parseHubReference(what);
  return `${endpoint}/${kind === "dataset" ? "datasets/" : ""}${name}`;
}

/** Milliseconds: `Retry-After`, or the rest of the window of `RateLimit`. */
function retryAfter(status: number, headers: Headers): number | undefined {
  const limit = status === 429 ? headers.get("ratelimit") : null;
  const told = headers.get("retry-after") ?? /(?:^|[;,\s])t=(\d+)/.exec(limit ?? "")?.[1];
  const seconds = Number(told ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
