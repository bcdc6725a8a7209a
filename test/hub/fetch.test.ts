import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BoosterError } from "../../src/errors.ts";
import { inCache } from "../../src/formats/hub/cache.ts";
import { fetchReference } from "../../src/hub/fetch.ts";
import { COMMIT, gitHash, type Repository, StandIn, sha256 } from "./stand-in.ts";

const hub = new StandIn();
const folder = mkdtempSync(join(tmpdir(), "booster-hub-"));
const OTHER = "f".repeat(40);
let home = "";

/** Every byte differs from its neighbours: a part in the wrong place is seen. */
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 2654435761) >>> 13);
const weights = noise(300_000);
const model: Repository = {
  files: {
    "config.json": '{"model_type":"llama"}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "model.safetensors": { content: weights, lfs: true },
    "pytorch_model.bin": { content: noise(1000), lfs: true },
    "modeling_own.py": "import os",
    "README.md": "# A model",
    "onnx/model.onnx": { content: noise(100), lfs: true },
  },
  revisions: { "v1.0": OTHER, "refs/pr/1": OTHER, [OTHER]: OTHER },
};

beforeAll(async () => {
  process.env.HF_ENDPOINT = await hub.start();
});
beforeEach(() => {
  home = mkdtempSync(join(folder, "home-"));
  for (const name of ["HF_TOKEN", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "HF_HUB_CACHE"]) delete process.env[name];
  process.env.HF_HOME = home;
  process.env.HF_HUB_DOWNLOAD_TIMEOUT = "20";
  hub.repositories.clear();
  hub.repositories.set("models/org/tiny", model);
});
afterEach(() => {
  expect(hub.leaked).toEqual([]);
  hub.asked.length = 0;
  hub.mischief = () => undefined;
  hub.pageSize = 1000;
});
afterAll(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true });
});

const repository = () => join(home, "hub", "models--org--tiny");
const failure = async (text: string): Promise<BoosterError> => {
  const error = await fetchReference(text).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(BoosterError);
  return error as BoosterError;
};
const isWeights = (path: string): boolean => readFileSync(path).equals(weights);
const downloads = () => hub.asked.filter((line) => line.includes("/resolve/"));

describe("a model", () => {
  test("comes with what is read of it and nothing else, laid out as the Python tools do", async () => {
    expect(await fetchReference("hf:org/tiny")).toBe(`hf:org/tiny@${COMMIT}`);
    const snapshot = join(repository(), "snapshots", COMMIT);
    expect(readdirSync(snapshot).sort()).toEqual(
      [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ].sort(),
    );
    expect(readFileSync(join(repository(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(readlinkSync(join(snapshot, "model.safetensors"))).toBe(`../../blobs/${sha256(weights)}`);
    expect(readlinkSync(join(snapshot, "tokenizer.json"))).toBe(`../../blobs/${gitHash(Buffer.from("{}"))}`);
    expect(isWeights(join(snapshot, "model.safetensors"))).toBe(true);
    const { format_version, files } = JSON.parse(readFileSync(join(repository(), "trees", `${COMMIT}.json`), "utf8"));
    expect([format_version, Object.keys(files).length]).toEqual([1, 9]);
    expect(files["model.safetensors"]).toMatchObject({ size: 300_000, lfs_sha256: sha256(weights), lfs_size: 300_000 });
    expect(readdirSync(join(repository(), "blobs")).filter((name) => name.endsWith(".incomplete"))).toEqual([]);
    expect(inCache("hf:org/tiny").place).toBe(snapshot);
  });

  test("is asked for once more by its branch, and not at all by its commit", async () => {
    const pinned = await fetchReference("hf:org/tiny");
    hub.asked.length = 0;
    expect(await fetchReference("hf:org/tiny")).toBe(pinned);
    expect(hub.asked).toEqual(["/api/models/org/tiny/revision/main"]);
    hub.asked.length = 0;
    expect(await fetchReference(pinned)).toBe(pinned);
    expect(hub.asked).toEqual([]);
  });

  test("of another revision has a snapshot of its own and shares what is the same", async () => {
    await fetchReference("hf:org/tiny");
    hub.asked.length = 0;
    expect(await fetchReference("hf:org/tiny@refs/pr/1")).toBe(`hf:org/tiny@${OTHER}`);
    expect(downloads()).toEqual([]);
    expect(readFileSync(join(repository(), "refs", "refs", "pr", "1"), "utf8")).toBe(OTHER);
  });

  test("that comes in shards, or as one of several GGUF files, or as one in parts", async () => {
    const index = JSON.stringify({ weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" } });
    const file = (text: string) => ({ content: Buffer.from(text), lfs: true });
    hub.repositories.set("models/org/shards", {
      files: {
        "config.json": "{}",
        "model.safetensors.index.json": index,
        "model-1.safetensors": file("1"),
        "model-2.safetensors": file("2"),
        "other.safetensors": file("3"),
      },
    });
    await fetchReference("hf:org/shards");
    expect(inCache("hf:org/shards").files).toContain("model-2.safetensors");
    expect(inCache("hf:org/shards").files).not.toContain("other.safetensors");
    hub.repositories.set("models/org/gguf", {
      files: { "a.Q4_0.gguf": file("a"), "b-00001-of-00002.gguf": file("b"), "b-00002-of-00002.gguf": file("c") },
    });
    await fetchReference("hf:org/gguf:a.Q4_0.gguf");
    expect(inCache("hf:org/gguf:a.Q4_0.gguf").place).toMatch(/a\.Q4_0\.gguf$/);
    const parts = await fetchReference("hf:org/gguf:b-00001-of-00002.gguf");
    expect(inCache(parts)).toMatchObject({ files: ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"] });
    expect(inCache(parts).place).toMatch(/b-00001-of-00002\.gguf$/);
    expect(await failure("hf:org/gguf")).toMatchObject({ code: "HUB_FILE_UNCLEAR" });
    expect(await failure("hf:org/gguf:c.gguf")).toMatchObject({ code: "HUB_NOT_FOUND" });
  });

  test("of pickles is refused, and says why", async () => {
    hub.repositories.set("models/org/pickle", { files: { "config.json": "{}", "pytorch_model.bin": "x" } });
    const error = await failure("hf:org/pickle");
    expect(error).toMatchObject({ code: "HUB_NOTHING_READABLE", details: { found: "pytorch_model.bin" } });
  });
});

describe("broken downloads", () => {
  /** Ends the connection behind half of what is left, the first `times` times. */
  const breaking = (times: number) => {
    hub.mischief = (request, response, seen) => {
      if (!request.url?.includes("Signature") || seen > times) return undefined;
      const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0] ?? 0);
      const headers = { "Content-Range": `bytes ${from}-299999/300000`, "Content-Length": 300_000 - from };
      response.writeHead(from === 0 ? 200 : 206, headers);
      response.write(weights.subarray(from, from + Math.floor((300_000 - from) / 2)), () =>
        setTimeout(() => response.destroy(), 20),
      );
      return true;
    };
  };

  test("go on where they ended", async () => {
    breaking(2);
    await fetchReference("hf:org/tiny");
    expect(
      downloads()
        .filter((line) => line.includes("model.safetensors"))
        .map((line) => line.split(" ")[1]),
    ).toEqual([undefined, "bytes=150000-", "bytes=225000-"]);
    expect(isWeights(join(inCache("hf:org/tiny").place, "model.safetensors"))).toBe(true);
  });

  test("of an earlier start go on; what is damaged in them is found, and had anew", async () => {
    const incomplete = join(repository(), "blobs", `${sha256(weights)}.incomplete`);
    for (const [begun, ranges] of [
      [weights.subarray(0, 100_000), ["bytes=100000-"]],
      [noise(100_001).map((byte) => byte ^ 1), ["bytes=100001-", undefined]],
      [new Uint8Array(400_000), [undefined]],
      [noise(300_000).map((byte) => byte ^ 1), [undefined]],
    ] as const) {
      await fetchReference("hf:org/tiny");
      rmSync(join(repository(), "blobs", sha256(weights)));
      writeFileSync(incomplete, begun);
      hub.asked.length = 0;
      await fetchReference("hf:org/tiny");
      expect(downloads().map((line) => line.split(" ")[1])).toEqual(ranges);
      expect(isWeights(join(inCache("hf:org/tiny").place, "model.safetensors"))).toBe(true);
      expect(existsSync(incomplete)).toBe(false);
    }
  });

  test("begin anew where the hub knows no ranges", async () => {
    await fetchReference("hf:org/tiny");
    rmSync(join(repository(), "blobs", sha256(weights)));
    writeFileSync(join(repository(), "blobs", `${sha256(weights)}.incomplete`), weights.subarray(0, 7));
    hub.mischief = (request, response) => {
      if (!request.url?.includes("Signature")) return undefined;
      response.writeHead(200, { "Content-Length": 300_000 }).end(weights);
      return true;
    };
    await fetchReference("hf:org/tiny");
    expect(isWeights(join(inCache("hf:org/tiny").place, "model.safetensors"))).toBe(true);
  });

  test("that fall silent are asked again", async () => {
    process.env.HF_HUB_DOWNLOAD_TIMEOUT = "1";
    hub.mischief = (request, _response, seen) =>
      request.url?.includes("config.json") && seen === 1 ? true : undefined;
    await fetchReference("hf:org/tiny");
    expect(downloads().filter((line) => line.endsWith("/config.json"))).toHaveLength(2);
  });

  test("that bring other bytes, or more of them, leave nothing", async () => {
    for (const content of [weights.map((byte) => byte ^ 1), noise(300_001)]) {
      hub.mischief = (request, response) => {
        if (!request.url?.includes("Signature")) return undefined;
        response.end(content);
        return true;
      };
      const error = await failure("hf:org/tiny");
      expect(error.code).toBe("HUB_HASH_MISMATCH");
      const left = readdirSync(join(repository(), "blobs")).filter((name) => name.startsWith(sha256(weights)));
      expect(left.filter((name) => statSync(join(repository(), "blobs", name)).size > 0)).toEqual([]);
    }
  });

  test("of one file are made by one at a time", async () => {
    const all = await Promise.all([
      fetchReference("hf:org/tiny"),
      fetchReference("hf:org/tiny"),
      fetchReference("hf:org/tiny"),
    ]);
    expect(new Set(all).size).toBe(1);
    expect(downloads().length).toBe(new Set(downloads()).size);
  });

  test("a file of the cache that was cut short is had anew", async () => {
    await fetchReference("hf:org/tiny");
    truncateSync(join(repository(), "blobs", sha256(weights)), 1000);
    await fetchReference("hf:org/tiny");
    expect(isWeights(join(inCache("hf:org/tiny").place, "model.safetensors"))).toBe(true);
  });
});

describe("what the hub refuses", () => {
  const token = "hf_secretSecretSecret";
  const closed = (gated: boolean): Repository => ({ ...model, access: { token, gated } });

  test("a gated repository: whose terms to accept, and where the token goes", async () => {
    hub.repositories.set("models/org/gated", closed(true));
    const without = await failure("hf:org/gated");
    expect(without).toMatchObject({ code: "HUB_ACCESS" });
    expect(without.details.hint).toContain(`${hub.endpoint}/org/gated`);
    expect(without.details.hint).toMatch(/HF_TOKEN.*huggingface_token\.txt/);
    process.env.HF_TOKEN = "hf_another";
    const wrong = await failure("hf:org/gated");
    expect(wrong).toMatchObject({ code: "HUB_ACCESS", details: { found: expect.stringContaining("403") } });
    expect(wrong.message).toContain("HF_TOKEN");
    expect(wrong.message).not.toContain("hf_another");
  });

  test("opens with the token from the environment, from its file, or from the working folder", async () => {
    hub.repositories.set("models/org/gated", closed(true));
    process.env.HF_TOKEN = ` ${token}\n`;
    await fetchReference("hf:org/gated");
    delete process.env.HF_TOKEN;
    home = mkdtempSync(join(folder, "home-"));
    process.env.HF_HOME = home;
    writeFileSync(join(home, "token"), `${token}\n`);
    await fetchReference("hf:org/gated");
    process.env.HF_HOME = mkdtempSync(join(folder, "home-"));
    const before = process.cwd();
    process.chdir(mkdtempSync(join(folder, "work-")));
    writeFileSync("huggingface_token.txt", token);
    await fetchReference("hf:org/gated").finally(() => process.chdir(before));
  });

  test("a private or absent repository, an absent revision", async () => {
    hub.repositories.set("models/org/private", closed(false));
    for (const name of ["hf:org/private", "hf:org/none"]) {
      expect(await failure(name)).toMatchObject({ code: "HUB_NOT_FOUND", problem: expect.stringContaining("private") });
    }
    expect(await failure("hf:org/tiny@v9")).toMatchObject({
      code: "HUB_NOT_FOUND",
      problem: expect.stringContaining("revision"),
    });
  });

  test("waits as long as it asks, and no longer than a few tries", async () => {
    hub.mischief = (_request, response, seen) => {
      if (seen > 2) return undefined;
      response.writeHead(seen === 1 ? 429 : 503, { "Retry-After": "0" }).end();
      return true;
    };
    const told: string[] = [];
    await fetchReference("hf:org/tiny", { emit: (event) => event.type === "work" && told.push(event.text) });
    expect(told.some((text) => text.includes("429"))).toBe(true);
    hub.mischief = (_request, response) => {
      response.writeHead(500, { "Retry-After": "0" }).end();
      return true;
    };
    expect(await failure("hf:org/tiny@v1.0")).toMatchObject({ code: "HUB_UNAVAILABLE" });
    hub.mischief = (_request, response) => {
      response.writeHead(429, { RateLimit: '"api";r=0;t=9000' }).end();
      return true;
    };
    expect(await failure("hf:org/tiny@v1.0")).toMatchObject({ code: "HUB_UNAVAILABLE" });
  });
});

describe("without a connection", () => {
  test("the cache answers, or says what it lacks", async () => {
    const pinned = await fetchReference("hf:org/tiny");
    process.env.HF_HUB_OFFLINE = "1";
    hub.asked.length = 0;
    expect(await fetchReference("hf:org/tiny")).toBe(pinned);
    expect(await failure("hf:org/other")).toMatchObject({ code: "HUB_NOT_CACHED" });
    expect(await failure("hf:org/tiny@v1.0")).toMatchObject({ code: "HUB_NOT_CACHED" });
    rmSync(join(repository(), "blobs", sha256(weights)));
    expect(await failure("hf:org/tiny")).toMatchObject({
      code: "HUB_NOT_CACHED",
      details: { expected: "model.safetensors" },
    });
    expect(hub.asked).toEqual([]);
  });

  test("a hub that cannot be reached is told of, and the branch is what it was", async () => {
    const pinned = await fetchReference("hf:org/tiny");
    hub.mischief = (request) => {
      request.destroy();
      return true;
    };
    const told: string[] = [];
    expect(
      await fetchReference("hf:org/tiny", { emit: (event) => event.type === "notice" && told.push(event.text) }),
    ).toBe(pinned);
    expect(told).toEqual([expect.stringContaining(COMMIT)]);
  });

  test("a cache of older tools, which has no lists of files, is read", async () => {
    await fetchReference("hf:org/tiny");
    rmSync(join(repository(), "trees"), { recursive: true });
    process.env.HF_HUB_OFFLINE = "1";
    expect(await fetchReference("hf:org/tiny")).toBe(`hf:org/tiny@${COMMIT}`);
  });
});

describe("a hostile hub", () => {
  const entry = (path: string) => ({ type: "file", oid: "a".repeat(40), size: 1, path });

  test("leads to no file outside the cache", async () => {
    for (const path of [
      "../../../../evil.json",
      "/etc/evil.json",
      "a/../../b.json",
      "a\\..\\b.json",
      "",
      "a//b",
      "./x",
      "a\u0000b",
    ]) {
      hub.repositories.set("models/org/evil", { files: {}, listing: [entry("config.json"), entry(path)] });
      expect(await failure("hf:org/evil")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    }
    expect(readdirSync(dirname(home)).filter((name) => name.includes("evil"))).toEqual([]);
  });

  test("gives no hash that is none, no list without an end, and no list that goes on elsewhere", async () => {
    for (const listing of [[{ ...entry("config.json"), oid: "../x" }], { files: 1 }, "text", null]) {
      hub.repositories.set("models/org/evil", { files: {}, listing });
      expect(await failure("hf:org/evil")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    }
    for (const next of ["http://127.0.0.1:9/", "file:///etc/passwd"]) {
      hub.mischief = (request, response) => {
        if (!request.url?.includes("/tree/")) return undefined;
        response.setHeader("Link", `<${next}>; rel="next"`).end("[]");
        return true;
      };
      expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    }
    hub.mischief = (request, response) => {
      if (!request.url?.includes("/tree/")) return undefined;
      response.setHeader("Link", `<${hub.endpoint}${request.url}>; rel="next"`).end("[]");
      return true;
    };
    expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
  });

  test("sends nobody in circles or to other schemes", async () => {
    for (const location of [
      "/api/models/org/tiny/revision/main",
      "file:///etc/passwd",
      "ftp://127.0.0.1/",
      "http://",
    ]) {
      hub.mischief = (_request, response) => {
        response.writeHead(302, { location }).end();
        return true;
      };
      expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    }
  });

  test("answers with an endless text, or with what is no answer", async () => {
    hub.mischief = (_request, response) => {
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(2 ** 20, 32), more);
      };
      more();
      return true;
    };
    expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    for (const body of ["<html>", '{"sha":"../../x"}', "[]", "null"]) {
      hub.mischief = (_request, response) => {
        response.end(body);
        return true;
      };
      expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_ANSWER_INVALID" });
    }
  });
});

test("progress tells bytes, rate and time left", async () => {
  const told: string[] = [];
  await fetchReference("hf:org/tiny", { emit: (event) => event.type === "work" && told.push(event.text) });
  expect(told.at(-1)).toMatch(
    /^hf:org\/tiny: model\.safetensors {2}300\.\d kB of 300\.\d kB, [\d.]+ [kMG]?B\/s, 0 s left$/,
  );
});

test("a long list comes in pages", async () => {
  hub.pageSize = 2;
  await fetchReference("hf:org/tiny");
  expect(hub.asked.filter((line) => line.includes("/tree/"))).toHaveLength(5);
});

test("a download that is asked to stop keeps what came", async () => {
  hub.mischief = (request, response) => {
    if (!request.url?.includes("Signature")) return undefined;
    response.writeHead(200, { "Content-Length": 300_000 });
    response.write(weights.subarray(0, 200_000));
    return true;
  };
  const stop = new AbortController();
  const following = { signal: stop.signal, emit: () => undefined };
  const incomplete = join(repository(), "blobs", `${sha256(weights)}.incomplete`);
  const ended = fetchReference("hf:org/tiny", following).catch((error: BoosterError) => error.code);
  while (!existsSync(incomplete) || statSync(incomplete).size < 100_000)
    await new Promise((next) => setTimeout(next, 10));
  stop.abort();
  expect(await ended).toBe("STOPPED");
  expect(statSync(incomplete).size).toBeGreaterThanOrEqual(100_000);
});

test("a damaged list or branch in the cache is named, with what to delete", async () => {
  const pinned = await fetchReference("hf:org/tiny");
  const trees = join(repository(), "trees", `${COMMIT}.json`);
  for (const text of ["{", "[]", '{"format_version":1,"files":{"../x":{"size":1,"blob_id":"a"}}}']) {
    writeFileSync(trees, text);
    expect(await failure(pinned)).toMatchObject({ code: "HUB_CACHE_INVALID", details: { where: trees } });
  }
  rmSync(trees);
  writeFileSync(join(repository(), "refs", "main"), "../../evil");
  expect(await failure("hf:org/tiny")).toMatchObject({ code: "HUB_CACHE_INVALID" });
});
