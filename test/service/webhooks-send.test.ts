/** One try to tell a receiver: what it may be asked, and what becomes of receivers that are down, slow, elsewhere or hostile. */
import { randomBytes } from "node:crypto";
import type { LookupAddress } from "node:dns";
import { createServer } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isInside, reachOf } from "../../src/service/webhooks/address.ts";
import { faultOf, type SendOptions, send } from "../../src/service/webhooks/send.ts";
import { type Receiver, startReceiver } from "./receiver.ts";

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => receiver.close());
beforeEach(() => {
  receiver.answer = 200;
  receiver.received.length = 0;
});

const key = randomBytes(32);
const message = { id: "evt_1", body: '{"id":"evt_1","type":"fine_tuning.job.succeeded","data":{"id":"ftjob-ü"}}' };
const now = () => Math.floor(Date.now() / 1000);
const sendTo = (url: string, options: Partial<SendOptions> = {}) =>
  send({ url, key }, message, { reach: reachOf(["127.0.0.1"]), version: "1", now, ...options });

describe("addresses", () => {
  const closed = [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.1.1", "169.254.169.254"],
    ...["172.16.0.1", "172.31.9.9", "192.0.0.192", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1"],
    ...["240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    ...["::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"],
    ...["2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"],
  ];
  const open = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::200e"];

  test.each(closed)("%s is not the public's", (address) => expect(reachOf([]).allows(address)).toBe(false));
  test.each(open)("%s is the public's", (address) => expect(reachOf([]).allows(address)).toBe(true));

  test("what the operator names may be reached, and nothing beside it", () => {
    const reach = reachOf(["10.1.0.0/16", "fd00:1::/32", "Hooks.internal", "192.168.7.7"]);
    expect(["10.1.255.1", "fd00:1:2::3", "192.168.7.7"].map(reach.allows)).toEqual([true, true, true]);
    expect(["10.2.0.1", "fd00:2::1", "192.168.7.8", "127.0.0.1"].map(reach.allows)).toEqual(Array(4).fill(false));
    expect(["hooks.INTERNAL", "hooks.internal.example.com"].map(reach.allowsHost)).toEqual([true, false]);
    const wrong = ["10.1.0.0/33", "10.1", "10.1.0.0/", "a b", "http://a", "", "::1/129", "a/8", "256.1.1.1"];
    expect(wrong.filter(isInside)).toEqual([]);
    expect(["10.0.0.0/8", "::1", "a-b.example"].filter(isInside)).toHaveLength(3);
  });

  test.each([
    ["https://127.0.0.1/", "not a public one"],
    ["https://2130706433/", "not a public one"],
    ["https://0x7f.1/", "not a public one"],
    ["https://0177.0.0.1/", "not a public one"],
    ["https://127。0。0。1/", "not a public one"],
    ["https://[::1]/", "not a public one"],
    ["https://[::ffff:7f00:1]/", "not a public one"],
    ["http://example.com/", "without TLS"],
    ["ftp://example.com/", "no https address"],
    ["file:///etc/passwd", "no https address"],
    ["//example.com", "no https address"],
    ["https://me:word@example.com/", "a name and a password"],
  ])("%s cannot be a webhook's", async (url, fault) => {
    expect(faultOf(url, reachOf([]))).toContain(fault);
    expect(await sendTo(url, { reach: reachOf([]) })).toEqual({ outcome: "forbidden" });
  });

  test("a good one has no fault", () => {
    expect(faultOf("https://example.com:8443/a?b=c", reachOf([]))).toBeUndefined();
    expect(faultOf("http://10.1.2.3/", reachOf(["10.0.0.0/8"]))).toBeUndefined();
  });
});

describe("names", () => {
  const at = (...addresses: readonly string[]): readonly LookupAddress[] =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

  test("one that leads inside is not asked, nor one that leads inside as well", async () => {
    const reach = { ...reachOf([]), allowsHost: () => false };
    for (const found of [at("127.0.0.1"), at("93.184.216.34", "127.0.0.1"), at("::1"), at()]) {
      const url = `https://hooks.example:${receiver.port}/`;
      expect(await sendTo(url, { reach, resolve: async () => found })).toEqual({ outcome: "forbidden" });
    }
    expect(receiver.received).toEqual([]);
  });

  test("the address that was checked is the one that is connected to: it is asked for once", async () => {
    const answers = [at("127.0.0.1"), at("127.0.0.9")];
    let asked = 0;
    const reach = { ...reachOf(["127.0.0.1"]), allowsHost: (name: string) => name === "rebind.example" && asked === 0 };
    // Plain HTTP is for names that are allowed; the address behind it is checked as that of any other name.
    const resolve = async () => answers[asked++]!;
    expect(await sendTo(`http://rebind.example:${receiver.port}/x`, { reach, resolve })).toMatchObject({
      outcome: "delivered",
    });
    expect(asked).toBe(1);
    expect(receiver.received[0]?.headers.host).toBe(`rebind.example:${receiver.port}`);
  });

  test("one that is not found is unreachable", async () => {
    const resolve = () => Promise.reject(new Error("ENOTFOUND"));
    expect(await sendTo("https://nowhere.example/", { resolve })).toEqual({ outcome: "unreachable" });
  });
});

describe("receivers", () => {
  test("the stock client verifies what they get, and nothing that was changed", async () => {
    expect(await sendTo(receiver.url)).toEqual({ outcome: "delivered", status: 200 });
    const [{ headers, body } = { headers: {}, body: "" }] = receiver.received;
    const { webhooks } = new OpenAI({ apiKey: "none", webhookSecret: `whsec_${key.toString("base64")}` });
    const signed = headers as Record<string, string>;
    expect(await webhooks.unwrap(body, signed)).toEqual(JSON.parse(message.body));
    expect(headers).toMatchObject({
      "webhook-id": "evt_1",
      "content-type": "application/json",
      "user-agent": "booster/1",
    });
    await expect(webhooks.unwrap(body.replace("succeeded", "failed"), signed)).rejects.toThrow("signature");
    await expect(webhooks.unwrap(body, { ...signed, "webhook-id": "evt_2" })).rejects.toThrow("signature");
    const old = String(now() - 400);
    await expect(webhooks.unwrap(body, { ...signed, "webhook-timestamp": old })).rejects.toThrow("too old");
  });

  test.each([
    [204, "delivered"],
    [410, "gone"],
    [404, "refused"],
    [503, "refused"],
  ])("status %i: %s", async (status, outcome) => {
    receiver.answer = status;
    expect(await sendTo(receiver.url)).toEqual({ outcome, status });
  });

  test("redirects are not followed", async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      receiver.answer = (response) => response.writeHead(status, { location: `${receiver.url}/inside` }).end();
      expect(await sendTo(receiver.url)).toEqual({ outcome: "redirected", status });
    }
    expect(receiver.received.map(({ path }) => path)).toEqual(Array(5).fill("/hook"));
  });

  test("one that never answers is given up, one that answers for ever is heard out no longer than needed", async () => {
    receiver.answer = () => undefined;
    expect(await sendTo(receiver.url, { seconds: 0.3 })).toEqual({ outcome: "timeout" });
    let written = 0;
    receiver.answer = (response) => {
      response.writeHead(200);
      const more = (): void => {
        if (response.destroyed || written > 50_000_000) return;
        written += 65_536;
        response.write(Buffer.alloc(65_536), more);
      };
      more();
    };
    expect(await sendTo(receiver.url)).toEqual({ outcome: "delivered", status: 200 });
    expect(written).toBeLessThan(10_000_000);
    receiver.answer = (response) => response.writeHead(200).write("and");
    expect(await sendTo(receiver.url, { seconds: 1 })).toEqual({ outcome: "delivered", status: 200 });
    receiver.answer = (response) => response.socket?.destroy();
    expect(await sendTo(receiver.url)).toEqual({ outcome: "unreachable" });
    receiver.answer = (response) => response.writeHead(200, { big: "x".repeat(100_000) }).end();
    expect(await sendTo(receiver.url)).toEqual({ outcome: "unreachable" });
  });

  test("one that is down, or speaks another language, is unreachable", async () => {
    const gone = await startReceiver();
    await gone.close();
    expect(await sendTo(gone.url)).toEqual({ outcome: "unreachable" });
    const other = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    expect(await sendTo(`http://127.0.0.1:${port}/`)).toEqual({ outcome: "unreachable" });
    expect(await sendTo(`https://127.0.0.1:${receiver.port}/`)).toEqual({ outcome: "unreachable" });
    other.close();
  });
});
