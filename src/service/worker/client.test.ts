import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { WorkerClient } from "./client.ts";

/** A server that has no room for the first blobs. */
async function fullServer(refusals: number) {
  let asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      asked++;
      const full = asked <= refusals;
      response.writeHead(full ? 503 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(full ? { error: { code: "disk_full", message: "no space" } } : { sha256: "abc" }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked, server };
}

const folder = mkdtempSync(join(tmpdir(), "client-"));
const file = join(folder, "blob");
writeFileSync(file, "bytes");

test("a blob waits for room on the server's disk, but not for ever", async () => {
  const { url, asked, server } = await fullServer(2);
  expect(await new WorkerClient({ url, token: "t" }).writeBlob("job", 1, file)).toBe("abc");
  expect(asked()).toBe(3);
  server.close();
  const never = await fullServer(Number.POSITIVE_INFINITY);
  const client = new WorkerClient({ url: never.url, token: "t" }, undefined, 300);
  await expect(client.writeBlob("job", 1, file)).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(never.asked()).toBeLessThan(5);
  never.server.close();
});

test("a fault of this host's disk is told at once", async () => {
  const { url, server } = await fullServer(0);
  const client = new WorkerClient({ url, token: "t" });
  await expect(client.readBlob("job", 1, "0", join(folder, "no", "folder"))).rejects.toMatchObject({
    code: "DISK_IO_ERROR",
  });
  await expect(client.writeBlob("job", 1, join(folder, "absent"))).rejects.toMatchObject({ code: "DISK_IO_ERROR" });
  server.close();
});
