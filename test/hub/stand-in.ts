/** A hub to test against: its addresses, headers and codes, and what can go wrong with it. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StandInFile {
  readonly content: Uint8Array;
  /** In large-file storage: on another address, under its SHA-256. */
  readonly lfs?: boolean;
}

export interface Repository {
  readonly kind?: "models" | "datasets";
  readonly files: Readonly<Record<string, StandInFile | Uint8Array | string>>;
  readonly revisions?: Readonly<Record<string, string>>;
  /** Given to those who bring this token alone; `gated`: the list is public, the files are not. */
  readonly access?: { readonly token: string; readonly gated: boolean };
  /** In the place of what the list should say. */
  readonly listing?: unknown;
}

/** What the hub does in the place of an answer; undefined: answers. */
export type Mischief = (request: IncomingMessage, response: ServerResponse, seen: number) => true | undefined;

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

const bytesOf = (file: StandInFile | Uint8Array | string): StandInFile =>
  typeof file === "string" ? { content: Buffer.from(file) } : file instanceof Uint8Array ? { content: file } : file;

export const gitHash = (content: Uint8Array): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
export const sha256 = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");

/** A hub and the store that it sends to, each on a port of its own. */
export class StandIn {
  readonly repositories = new Map<string, Repository>();
  /** `GET /path` with the range where one is asked for, and whether a token came along. */
  readonly asked: string[] = [];
  private trick: Mischief = () => undefined;
  /** Tokens that the store saw: there must be none. */
  readonly leaked: string[] = [];
  /** Files of a page of a list. */
  pageSize = 1000;
  private readonly hub = createServer((request, response) => this.answer(request, response));
  private readonly store = createServer((request, response) => this.serve(request, response));
  private readonly counts = new Map<string, number>();

  /** Counts requests anew. */
  set mischief(trick: Mischief) {
    this.trick = trick;
    this.counts.clear();
  }

  async start(): Promise<string> {
    for (const server of [this.hub, this.store]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return this.endpoint;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  private interfered(request: IncomingMessage, response: ServerResponse): boolean {
    const seen = (this.counts.get(request.url ?? "") ?? 0) + 1;
    this.counts.set(request.url ?? "", seen);
    return this.trick(request, response, seen) === true;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.endpoint);
    const token = request.headers.authorization;
    this.asked.push(`${url.pathname}${request.headers.range === undefined ? "" : ` ${request.headers.range}`}`);
    if (this.interfered(request, response)) return;
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/?]+)/.exec(url.pathname);
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const kind = api?.[1] ?? (resolve?.[1] === undefined ? "models" : "datasets");
    const repository = this.repositories.get(`${kind}/${api?.[2] ?? resolve?.[2]}`);
    const { access } = repository ?? {};
    const mayRead = access === undefined || token === `Bearer ${access.token}`;
    if (repository === undefined || (!mayRead && access?.gated !== true)) {
      refuse(response, 401, "RepoNotFound", "Repository not found");
      return;
    }
    const revision = decodeURIComponent(api?.[4] ?? resolve?.[3] ?? "");
    const commit = { main: COMMIT, [COMMIT]: COMMIT, ...repository.revisions }[revision];
    if (commit === undefined) {
      refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
      return;
    }
    if (api?.[3] === "revision") {
      json(response, { id: api[2], sha: commit });
      return;
    }
    if (api?.[3] === "tree") {
      this.list(response, repository, url);
      return;
    }
    if (!mayRead) {
      refuse(response, token === undefined ? 401 : 403, "GatedRepo", "Access to this model is restricted.");
      return;
    }
    const path = decodeURIComponent(resolve?.[4] ?? "");
    const found = repository.files[path];
    if (found === undefined) {
      refuse(response, 404, "EntryNotFound", "Entry not found");
      return;
    }
    const file = bytesOf(found);
    response.setHeader("X-Repo-Commit", commit);
    if (file.lfs !== true) {
      send(request, response, file.content, gitHash(file.content));
      return;
    }
    response.setHeader("X-Linked-ETag", `"${sha256(file.content)}"`);
    response.setHeader("X-Linked-Size", String(file.content.length));
    const store = `http://127.0.0.1:${(this.store.address() as AddressInfo).port}`;
    const location = `${store}/${kind}/${resolve?.[2]}/${encodeURIComponent(path)}?Signature=once`;
    response.writeHead(302, { location }).end();
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.authorization !== undefined) this.leaked.push(request.headers.authorization);
    if (this.interfered(request, response)) return;
    const [, kind, org, name, path = ""] = (request.url ?? "").split("?")[0]?.split("/") ?? [];
    const found = this.repositories.get(`${kind}/${org}/${name}`)?.files[decodeURIComponent(path)];
    if (found === undefined) response.writeHead(404).end();
    else send(request, response, bytesOf(found).content, sha256(bytesOf(found).content));
  }

  private list(response: ServerResponse, repository: Repository, url: URL): void {
    if (repository.listing !== undefined) {
      json(response, repository.listing);
      return;
    }
    const entries = Object.entries(repository.files).map(([path, file]) => {
      const { content, lfs } = bytesOf(file);
      const large = { oid: sha256(content), size: content.length, pointerSize: 130 };
      return {
        type: "file",
        oid: gitHash(content),
        size: content.length,
        path,
        ...(lfs === true ? { lfs: large } : {}),
      };
    });
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const next = new URL(url);
    next.searchParams.set("cursor", String(from + this.pageSize));
    if (from + this.pageSize < entries.length) response.setHeader("Link", `<${next.href}>; rel="next"`);
    json(response, [
      { type: "directory", oid: "f".repeat(40), size: 0, path: "data" },
      ...entries.slice(from, from + this.pageSize),
    ]);
  }
}

const json = (response: ServerResponse, value: unknown): void => {
  response.setHeader("content-type", "application/json; charset=utf-8");
  response.end(JSON.stringify(value));
};

const refuse = (response: ServerResponse, status: number, code: string, message: string): void => {
  response.writeHead(status, { "X-Error-Code": code, "X-Error-Message": message }).end(message);
};

/** A file, or the part of it that is asked for. */
function send(request: IncomingMessage, response: ServerResponse, content: Uint8Array, etag: string): void {
  response.setHeader("ETag", `"${etag}"`);
  response.setHeader("Accept-Ranges", "bytes");
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
  if (Number.isNaN(from)) {
    response.setHeader("Content-Length", content.length);
    if (request.method === "HEAD") response.end();
    else response.end(content);
  } else {
    const range = `bytes ${from}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { "Content-Range": range, "Content-Length": content.length - from });
    response.end(content.subarray(from));
  }
}
