import { isIP } from "node:net";
import { isPublic, listOf } from "../../formats/addresses.ts";

/** Which addresses may be asked. */
export interface Reach {
  /** A host that the operator has named: whatever its addresses are, and without TLS. */
  readonly allowsHost: (hostname: string) => boolean;
  /** Whether a connection may go there. */
  readonly allows: (address: string) => boolean;
}

/** The parts of a network as `10.1.0.0/16`, or of one address; undefined for all else. */
function networkOf(entry: string): { readonly address: string; readonly bits: number } | undefined {
  const [, address = "", bits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(entry) ?? [];
  const most = { 4: 32, 6: 128 }[isIP(address)];
  if (most === undefined || Number(bits ?? 0) > most) return undefined;
  return { address, bits: bits === undefined ? most : Number(bits) };
}

/** Whether a text names hosts inside: a name, an address, a network. */
export const isInside = (entry: string): boolean =>
  networkOf(entry) !== undefined || (/^[a-z\d]([a-z\d.-]{0,251}[a-z\d])?$/i.test(entry) && !/^[\d.]+$/.test(entry));

/**
 * Public addresses, and those inside that the operator names.
 *
 * @example
 * reachOf(["10.1.0.0/16", "hooks.internal"]).allows("10.1.2.3"); // true
 */
export function reachOf(inside: readonly string[]): Reach {
  const networks = inside.flatMap((entry) => networkOf(entry) ?? []);
  const names = new Set(inside.filter((entry) => networkOf(entry) === undefined).map((name) => name.toLowerCase()));
  const list = listOf(networks.map(({ address, bits }) => `${address}/${bits}`));
  const isNamed = (address: string): boolean => list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  return {
    allowsHost: (hostname) => names.has(hostname.toLowerCase()) || (isIP(hostname) !== 0 && isNamed(hostname)),
    allows: (address) => isPublic(address) || isNamed(address),
  };
}
