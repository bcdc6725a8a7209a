import type { Device } from "../../runtime/index.ts";

/** What moderators have loaded on a device, by what it was made of: one evaluation after the other asks the same model. */
const loaded = new WeakMap<Device, Map<string, Promise<unknown>>>();

/** What `make` makes, which is made once a device and key. A failure is not remembered. */
export function once<T>(device: Device, key: string, make: () => Promise<T>): Promise<T> {
  const known = loaded.get(device) ?? new Map<string, Promise<unknown>>();
  loaded.set(device, known);
  const made = (known.get(key) as Promise<T> | undefined) ?? make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}
