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

/** Networks as `10.1.0.0/16`. */
export function listOf(networks: readonly string[]): BlockList {
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

/**
 * Whether an address of IPv4 or IPv6 is one that anybody on the internet means the same host by.
 *
 * @example
 * isPublic("169.254.169.254"); // false
 */
export const isPublic = (address: string): boolean =>
  isIP(address) === 4
    ? !closed4.check(address, "ipv4")
    : open6.check(address, "ipv6") && !closed6.check(address, "ipv6");
