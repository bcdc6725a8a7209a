/** A disk that is too small, or fills while a file comes. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inCache } from "../../src/formats/hub/cache.ts";
import { fetchReference } from "../../src/hub/fetch.ts";
import { StandIn, sha256 } from "./stand-in.ts";

const hub = new StandIn();
const folder = mkdtempSync(join(tmpdir(), "booster-hub-disk-"));
const disk = join(folder, "disk");
mkdirSync(disk);
const mounted = mount();
const content = Uint8Array.from({ length: 1_200_000 }, (_, i) => (i * 2654435761) >>> 13);

function mount(): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], { stdio: "pipe" });
    return true;
  } catch (error) {
    console.log(`skipped: a small disk cannot be mounted here (${(error as Error).message.trim()})`);
    return false;
  }
}

beforeAll(async () => {
  process.env.HF_ENDPOINT = await hub.start();
  process.env.HF_HOME = disk;
  const weights = { content, lfs: true };
  hub.repositories.set("models/org/model", { files: { "config.json": "{}", "model.safetensors": weights } });
  const large = { content: new Uint8Array(3_000_000), lfs: true };
  hub.repositories.set("models/org/large", { files: { "config.json": "{}", "model.safetensors": large } });
});
afterAll(async () => {
  await hub.stop();
  if (mounted) execFileSync("umount", [disk]);
  rmSync(folder, { recursive: true });
});

test.skipIf(!mounted)("what cannot fit is refused before its first byte", async () => {
  await expect(fetchReference("hf:org/large")).rejects.toMatchObject({
    code: "DISK_FULL",
    details: { expected: "3000000 free bytes", hint: expect.stringContaining("HF_HOME") },
  });
  expect(hub.asked.filter((line) => line.includes("model.safetensors"))).toEqual([]);
});

test.skipIf(!mounted)(
  "a disk that fills on the way keeps what is finished and what was begun; with space again it goes on",
  async () => {
    hub.mischief = (request, response, seen) => {
      if (!request.url?.includes("Signature") || seen > 1) return undefined;
      response.writeHead(200, { "Content-Length": content.length });
      response.write(content.subarray(0, 600_000), () => {
        setTimeout(() => {
          try {
            writeFileSync(join(disk, "ballast"), new Uint8Array(2 ** 21));
          } catch {
            // It is full now.
          }
          response.end(content.subarray(600_000));
        }, 200);
      });
      return true;
    };
    await expect(fetchReference("hf:org/model")).rejects.toMatchObject({ code: "DISK_FULL" });
    const blobs = () => readdirSync(join(disk, "hub", "models--org--model", "blobs"));
    expect(blobs()).toContain(`${sha256(content)}.incomplete`);
    expect(blobs()).toHaveLength(2);
    rmSync(join(disk, "ballast"));
    hub.asked.length = 0;
    await fetchReference("hf:org/model");
    expect(hub.asked.filter((line) => line.includes("/resolve/"))).toEqual([
      expect.stringMatching(/model\.safetensors bytes=[6-9]\d{5}-$/),
    ]);
    expect(inCache("hf:org/model").files).toEqual(["config.json", "model.safetensors"]);
  },
);
