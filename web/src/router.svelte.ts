import { VIEWS, type ViewName } from "../../src/service/domain/views.ts";

/** Where the page is: a view with the places of its address, and the query, which holds filters and choices. */
export interface Place {
  readonly view: ViewName | undefined;
  readonly params: Readonly<Record<string, string>>;
  readonly path: string;
  readonly query: URLSearchParams;
}

const PATTERNS = Object.entries(VIEWS).map(([view, address]) => ({
  view: view as ViewName,
  names: [...address.matchAll(/:(\w+)/g)].map(([, name]) => name!),
  pattern: new RegExp(`^${address.replaceAll(/:\w+/g, "([^/]+)")}/?$`),
}));

/** @example placeOf("/jobs/ftjob-1/curves", "").view // "jobView" */
export function placeOf(path: string, search: string): Place {
  const query = new URLSearchParams(search);
  for (const { view, names, pattern } of PATTERNS) {
    const found = pattern.exec(path);
    if (found === null) continue;
    try {
      const values = found.slice(1).map(decodeURIComponent);
      return { view, params: Object.fromEntries(names.map((name, i) => [name, values[i] ?? ""])), path, query };
    } catch {
      // A broken escape is an address of nothing.
    }
  }
  return { view: undefined, params: {}, path, query };
}

class Router {
  place: Place = $state.raw(placeOf(location.pathname, location.search));

  constructor() {
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#click(event));
  }

  /** Goes to an address of the application. `replace`: without a step in the history, for filters. */
  go(href: string, { replace = false } = {}): void {
    history[replace ? "replaceState" : "pushState"](null, "", href);
    this.#read();
    if (!replace) scrollTo(0, 0);
  }

  /** Changes parts of the query; `undefined` takes one out. */
  ask(changes: Readonly<Record<string, string | undefined>>): void {
    const query = new URLSearchParams(this.place.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined || value === "") query.delete(name);
      else query.set(name, value);
    }
    const search = query.toString();
    this.go(`${this.place.path}${search === "" ? "" : `?${search}`}`, { replace: true });
  }

  #read(): void {
    this.place = placeOf(location.pathname, location.search);
  }

  #click(event: MouseEvent): void {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    // The skip link and other places in this page are the browser's.
    if (link.hash !== "" && link.pathname === location.pathname) return;
    if (placeOf(link.pathname, "").view === undefined) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();

/** The address of a view, its places escaped. @example to("job", { id: "ftjob-1" }) */
export function to(
  view: ViewName,
  params: Readonly<Record<string, string>> = {},
  query: Readonly<Record<string, string>> = {},
): string {
  const path = VIEWS[view].replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const search = new URLSearchParams(query).toString();
  return search === "" ? path : `${path}?${search}`;
}
