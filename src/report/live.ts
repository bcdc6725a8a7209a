import { element, escapeHtml } from "./svg.ts";

/** Changes what is shown in place, so that whoever reads stays where they are. A page that nobody sees asks for nothing: a browser has few connections to a host. */
const SCRIPT = `
const line = document.getElementById("progress");
let news, over = false;
const redraw = async () => {
  const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
  document.title = page.title;
  document.querySelector("style").replaceWith(page.querySelector("style"));
  document.getElementById("report").replaceChildren(...(page.getElementById("report") ?? page.body).childNodes);
};
const listen = () => {
  news = new EventSource("events");
  news.addEventListener("progress", ({ data }) => { line.textContent = data; });
  news.addEventListener("report", redraw);
  news.addEventListener("end", ({ data }) => { line.textContent = data; over = true; news.close(); });
  news.onerror = () => { if (news.readyState !== EventSource.OPEN) line.textContent = line.dataset.lost; };
};
document.addEventListener("visibilitychange", () => {
  news.close();
  if (!over && !document.hidden) listen();
});
listen();
`;

const WAITING =
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Experiment</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}</style></head><body><main><h1>Experiment</h1><p>The report comes with the first cell that is done.</p></main></body></html>';

/** A page of `livePage` may run its own script, which asks its own server. */
export const livePolicy = (nonce: string): string =>
  `default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; script-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** An event as such a page hears it, from `events` beside it: `progress` with a line, `report` at the beginning and where there is a new one, `end` with the last line. */
export const liveEvent = (event: "progress" | "report" | "end", data: string): string =>
  `event: ${event}\ndata: ${data.replaceAll(/\s+/g, " ")}\n\n`;

/**
 * A report's page with a line above it that tells how far the experiment is, and both are changed in place while it goes on. It is sent with `livePolicy`.
 *
 * @param page of `renderHtml`; undefined as long as there is none
 * @param lost what the line says when nobody answers any more
 */
export function livePage(
  page: string | undefined,
  { progress, nonce, lost }: { readonly progress: string; readonly nonce: string; readonly lost: string },
): string {
  const [, head, body, end] = /^([\s\S]*<body[^>]*>)([\s\S]*)(<\/body>[\s\S]*)$/.exec(page ?? WAITING) ?? [];
  if (head === undefined || body === undefined || end === undefined) throw new TypeError("a report is no page");
  // The page's own policy allows no script; the one that it is sent with takes its place.
  const open = head.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>\n?/, "");
  const line = element("p", { id: "progress", role: "status", "data-lost": lost }, escapeHtml(progress));
  const above = element("header", { style: "max-width:944px;margin:0 auto;padding:16px clamp(16px,3vw,24px) 0" }, line);
  return `${open}${above}<div id="report">${body}</div><script nonce="${nonce}">${SCRIPT}</script>${end}`;
}
