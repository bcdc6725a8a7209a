import { BlockList, isIP } from "node:net";

/** Addresses of IPv4 that are not the public's: this host, private networks, those of providers (CGNAT), link-local (and with it most clouds' metadata), documentation, benchmarks, multicast, reserved. */
const CLOSED_4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // The host of a virtual machine in one of the clouds, which looks public.
  "168.63.129.16/32",
];

/** Of IPv6 only this is the public's, and of it not what carries addresses of IPv4 within, is for documentation or for protocols. Mapped, translated, local ones lie outside. */
const OPEN_6 = "2000::/3";
const CLOSED_6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}

const closed4 = listOf(CLOSED_4);
const open6 = listOf([OPEN_6]);
const closed6 = listOf(CLOSED_6);

const isPublic = (address: string): boolean =>
  isIP(address) === 4
    ? !closed4.check(address, "ipv4")
    : open6.check(address, "ipv6") && !closed6.check(address, "ipv6");

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
