/** Shares as people read them: "0.7 %", "5 %", "12 %". */
export function percent(share: number): string {
  const value = share * 100;
  const digits = value !== 0 && Math.abs(value) < 9.95 ? 1 : 0;
  // The number and its sign stay together.
  return `${Number(value.toFixed(digits))}\u00a0%`.replace("-", "\u2212");
}

export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (value: number): string => whole.format(value);

/** A number of a curve: four digits, whatever its size. */
export const measured = (value: number): string =>
  value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e6)
    ? value.toExponential(2)
    : String(+value.toPrecision(4));

export const plural = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

/** "40 s", "3 min", "2 h 5 min", "4 days" */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

const sameDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const sameYear = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});
const anyYear = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** When, as short as it is plain: "14:03" today, "28 Nov, 14:03" this year. */
export function when(seconds: number, now = new Date()): string {
  const date = new Date(seconds * 1000);
  if (date.toDateString() === now.toDateString()) return sameDay.format(date);
  return (date.getFullYear() === now.getFullYear() ? sameYear : anyYear).format(date);
}

/** The same with day, seconds and time zone. */
export const exactly = (seconds: number): string => full.format(new Date(seconds * 1000));

/** What stays of an id where room is scarce: its end tells ids apart. */
export const shortId = (id: string): string =>
  id.length <= 16 ? id : `${id.slice(0, id.indexOf("-") + 1)}…${id.slice(-6)}`;
