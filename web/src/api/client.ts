import { connection } from "./connection.svelte.ts";
import { offline, type Problem, problemOf } from "./problem.ts";
import { session } from "./session.svelte.ts";
import type { RouteName, Routes } from "./types.ts";

/** What a request is given beside its name. */
export interface Ask<Name extends RouteName> {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  readonly body?: Routes[Name] extends { body: infer Body } ? Body : FormData;
  readonly signal?: AbortSignal;
}

/**
 * Asks the server. The key is in a cookie that no script can read; requests that change something say that they come from this page.
 *
 * @throws {Problem} what the server refused, or that it was not reached
 * @example
 * const { data } = await call("GET /v1/files", { query: { limit: 20 } });
 */
export async function call<Name extends RouteName>(name: Name, ask: Ask<Name> = {}): Promise<Routes[Name]["reply"]> {
  const response = await send(name, ask);
  return (await response.json()) as Routes[Name]["reply"];
}

/** What is sent along with a request of any name. */
interface Sent {
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly query?: Ask<RouteName>["query"];
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** As `call`, with the answer unread, for streams. @throws {Problem} */
export async function send(name: string, { params = {}, query = {}, body, signal }: Sent = {}): Promise<Response> {
  const [method = "GET", template = ""] = name.split(" ");
  const path = template.replaceAll(/\{(\w+)\}/g, (_, place: string) => encodeURIComponent(params[place] ?? ""));
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of value === undefined ? [] : [value].flat()) search.append(key, String(one));
  }
  const isForm = body instanceof FormData;
  let response: Response;
  try {
    response = await fetch(search.size === 0 ? path : `${path}?${search}`, {
      method,
      headers: {
        ...(method === "GET" ? {} : { "x-booster": "1" }),
        ...(body === undefined || isForm ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    connection.lost();
    throw offline();
  }
  connection.found();
  if (response.ok) return response;
  const problem: Problem = await problemOf(response);
  if (response.status === 401) session.end();
  throw problem;
}

/** What a route lists; `never` where it lists nothing. */
type ItemOf<Name extends RouteName> = Routes[Name]["reply"] extends {
  readonly data: readonly (infer Item extends { readonly id: string })[];
}
  ? Item
  : never;

/** Everything that a list has, page by page. `most`: where to stop in any case. */
export async function all<Name extends RouteName>(
  name: Name,
  ask: Ask<Name> = {},
  most = 2000,
): Promise<ItemOf<Name>[]> {
  const items: ItemOf<Name>[] = [];
  for (let more = true; more && items.length < most; ) {
    const after = (items.at(-1) as { readonly id: string } | undefined)?.id;
    const page = (await call(name, { ...ask, query: { ...ask.query, after } })) as unknown as {
      readonly data: readonly ItemOf<Name>[];
      readonly has_more: boolean;
    };
    items.push(...page.data);
    more = page.has_more && page.data.length > 0;
  }
  return items;
}
