/** How often to look whether the server brings another version of this page. */
const LOOK_MS = 300_000;

/** The scripts of a page: their names hold the hash of what is in them. */
const scriptsOf = (page: Document): string =>
  [...page.querySelectorAll("script[type=module]")].map((script) => script.getAttribute("src")).join();

class Version {
  stale = $state(false);
  readonly #own = scriptsOf(document);

  constructor() {
    setInterval(() => void this.look(), LOOK_MS);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.look();
    });
    // A part of this page that the server no longer has.
    addEventListener("vite:preloadError", () => void this.look());
  }

  async look(): Promise<void> {
    try {
      const response = await fetch("/", { cache: "no-cache" });
      if (!response.ok) return;
      const theirs = scriptsOf(new DOMParser().parseFromString(await response.text(), "text/html"));
      this.stale = theirs !== "" && theirs !== this.#own;
    } catch {
      // A server that is away is told of elsewhere.
    }
  }
}

/** Whether the server has been upgraded since this page was loaded. */
export const version = new Version();
