import { TemplateFault } from "./limits.ts";

/** Some templates write today's date into the prompt; a fixed one keeps runs reproducible. It is Llama 3's default. */
const NOW = { year: 2024, month: 7, day: 26, dayOfYear: 208, weekday: 5 };
const MONTH = "July";
const WEEKDAY = "Friday";

const two = (value: number) => String(value).padStart(2, "0");
/** Weeks that begin on `first` (0: Sunday). */
const week = (first: number) => two(Math.floor((NOW.dayOfYear + 6 - ((NOW.weekday - first + 7) % 7)) / 7));

const DIRECTIVES: Readonly<Record<string, string>> = {
  a: WEEKDAY.slice(0, 3),
  A: WEEKDAY,
  b: MONTH.slice(0, 3),
  h: MONTH.slice(0, 3),
  B: MONTH,
  c: "Fri Jul 26 00:00:00 2024",
  C: "20",
  d: two(NOW.day),
  D: "07/26/24",
  e: String(NOW.day).padStart(2),
  f: "000000",
  F: "2024-07-26",
  g: "24",
  G: "2024",
  H: "00",
  I: "12",
  j: String(NOW.dayOfYear),
  k: " 0",
  l: "12",
  m: two(NOW.month),
  M: "00",
  n: "\n",
  p: "AM",
  P: "am",
  r: "12:00:00 AM",
  R: "00:00",
  s: "1721952000",
  S: "00",
  t: "\t",
  T: "00:00:00",
  u: String(NOW.weekday),
  U: week(0),
  V: "30",
  w: String(NOW.weekday),
  W: week(1),
  x: "07/26/24",
  X: "00:00:00",
  y: "24",
  Y: String(NOW.year),
  z: "",
  Z: "",
  "%": "%",
};

/** `datetime.strftime` of 26 July 2024, midnight; `%-d` is without the zero in front. @throws {TemplateFault} */
export const strftime = (format: string): string =>
  format.replace(/%(-)?([\s\S]|$)/g, (whole, bare: string | undefined, letter: string) => {
    const value = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter] : undefined;
    if (value === undefined) throw new TemplateFault(`strftime_now() does not know '${whole}'`);
    return bare === undefined ? value : value.replace(/^[0 ]+(?=.)/, "");
  });
