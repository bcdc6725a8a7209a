/** Text made safe for HTML and SVG, in elements and quoted attributes; control characters, which XML forbids, are dropped. */
export const escapeHtml = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, "")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

/** An element with escaped attributes around ready-made content. */
export function element(name: string, attributes: Record<string, string | number>, content = ""): string {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === "number" ? round(value) : escapeHtml(value)}"`,
  );
  return `<${name}${written.join("")}>${content}</${name}>`;
}

/** A text element; the text is escaped. */
export const text = (x: number, y: number, content: string, attributes: Record<string, string | number> = {}): string =>
  element("text", { x, y, ...attributes }, escapeHtml(content));

/** Coordinates to a hundredth of a pixel: shorter files, same bytes everywhere. */
export const round = (value: number): string => String(Math.round(value * 100) / 100);

/** A polyline's path data. */
export const pathOf = (...points: readonly (readonly [x: number, y: number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${round(x)} ${round(y)}`).join("");

const MARKERS: readonly ((r: number) => string)[] = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0 ${-1.3 * r}L${1.2 * r} ${0.9 * r}H${-1.2 * r}z`,
  (r) => `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0z`,
  (r) => `M0 ${1.3 * r}L${1.2 * r} ${-0.9 * r}H${-1.2 * r}z`,
  (r) =>
    `M${-r} ${-r / 3}h${r - r / 3}v${-r + r / 3}h${(2 * r) / 3}v${r - r / 3}h${r - r / 3}v${(2 * r) / 3}h${-r + r / 3}v${r - r / 3}h${(-2 * r) / 3}v${-r + r / 3}h${-r + r / 3}z`,
];

/** Series look alike in nothing: colour (8), marker (6) and dash (6) cycle with different periods. */
export const SLOTS = 8;

/** The class that gives series i its colour. */
export const slotClass = (index: number): string => `s${index % SLOTS}`;

/** A filled marker of series i, about 2r wide. */
export const marker = (index: number, x: number, y: number, r = 4.5): string =>
  element("path", {
    class: "marker",
    d: MARKERS[index % MARKERS.length]?.(r) ?? "",
    transform: `translate(${round(x)} ${round(y)})`,
  });

const DASHES = ["", "8 3", "2.5 3", "10 3 2.5 3", "5 2", "1.5 2"];

/** The dash pattern of series i; empty for a solid line. */
export const dash = (index: number): string => DASHES[index % DASHES.length] ?? "";
