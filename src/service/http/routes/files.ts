import { once as happens } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { checkFile, type FileCheck } from "../../pipeline/check-file.ts";
import type { Arrived, BlobStore } from "../../store/blobs.ts";
import type { StoredFile } from "../../store/files.ts";
import { checked } from "../errors.ts";
import { refuseUnstorable, strict } from "../json.ts";
import { withForm } from "../multipart.ts";
import { type Route, route } from "../route.ts";
import { found, mayRepeat, onceOf, type Service } from "../service.ts";
import { streamed } from "../streamed.ts";
import { ChecksReply, Deleted, ExpiresAfter, FileObject, fileReply, Purpose } from "../wire/file.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

/** Rows of a page, however many are asked for: queries of the embedded database hold up everybody. */
const LONGEST_PAGE = 1000;

const Fields = strict({ purpose: Purpose, expires_after: ExpiresAfter.optional() });

/** Files, as OpenAI's clients send and read them. */
export function fileRoutes(service: Service): Route[] {
  const { store } = service;
  const reply = async (file: StoredFile) => fileReply(file, await store.checks.get(file.sha256));
  return [
    route({
      method: "post",
      path: "/v1/files",
      summary: "Upload a file; it is checked while it comes",
      form: z.strictObject({ ...Fields.shape, file: z.string().meta({ format: "binary" }) }),
      reply: FileObject,
      async handle(call) {
        const { principal, incoming } = call;
        const again = mayRepeat(call);
        const arrival = store.arrivals.begin([await store.files.room(principal, again)]);
        const take = (bytes: Readable) => arriveChecked(store.blobs, bytes);
        return withForm(arrival, incoming, LIMITS.fileBytes, take, async ({ fields, file }) => {
          refuseUnstorable(fields);
          const { purpose, expires_after } = checked(Fields, fields);
          if (file === undefined || file.name !== "file") {
            throw new ServiceError("missing_required_parameter", "the form has no file", { param: "file" });
          }
          const { stored, check } = file.made;
          const { sha256, bytes } = stored;
          const seconds = expires_after?.seconds;
          const once = onceOf(call, [sha256, file.filename, purpose, seconds ?? null]);
          await store.files.admit(principal, arrival, once, again);
          await file.made.keep();
          await store.checks.put(sha256, check);
          const expiresAt = seconds === undefined ? {} : { expiresAt: store.context.now() + seconds };
          const named = { sha256, bytes, filename: file.filename, purpose, ...expiresAt };
          return fileReply(await store.files.create(principal, { ...named, once, arrival }), check);
        });
      },
    }),
    route({
      method: "get",
      path: "/v1/files",
      summary: "List files",
      query: strict({
        ...pageQuery(10_000, 10_000),
        order: z.enum(["asc", "desc"]).default("desc"),
        purpose: z.string().max(64).optional(),
      }),
      reply: pageOf(FileObject),
      async handle({ principal, query }) {
        const page = await store.files.list(principal, { ...query, limit: Math.min(query.limit, LONGEST_PAGE) });
        const checks = await store.checks.of(page.data.map(({ sha256 }) => sha256));
        return pageReply(page, (file) => fileReply(file, checks.get(file.sha256)));
      },
    }),
    route({
      method: "get",
      path: "/v1/files/{id}",
      summary: "A file",
      reply: FileObject,
      handle: async ({ principal, params }) => reply(found(await store.files.get(principal, params.id!))),
    }),
    route({
      method: "get",
      path: "/v1/files/{id}/content",
      summary: "The bytes of a file",
      query: strict({ encoding: z.literal("base64").optional() }),
      reply: z.undefined(),
      media: ["application/octet-stream"],
      async handle({ principal, params, query, ...asked }) {
        const file = found(await store.files.get(principal, params.id!));
        const asText = query.encoding === "base64" || (await wantsBase64(service, principal.project, file));
        const bytes = await store.blobs.open(file.sha256);
        return content(streamed(service, asked, bytes, asText ? base64(bytes) : bytes), file, asText);
      },
    }),
    route({
      method: "delete",
      path: "/v1/files/{id}",
      summary: "Delete a file",
      reply: Deleted("file"),
      async handle({ principal, params }) {
        if (!(await store.files.delete(principal, params.id!))) found(undefined);
        return { id: params.id!, object: "file", deleted: true };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/files/{id}/checks",
      summary: "Everything that is wrong with a file, by line",
      reply: ChecksReply,
      async handle({ principal, params }) {
        const file = found(await store.files.get(principal, params.id!));
        const { rows, faultCount, faults } = found(await store.checks.get(file.sha256));
        return {
          object: "booster.file_checks",
          file: file.id,
          rows,
          fault_count: faultCount,
          faults: faults.map(({ line, column, code, message }) => ({ line, column, code, message })),
        };
      },
    }),
  ];
}

/** Takes a stream, and checks it as training data on the way: the slower of the two sets the pace. */
async function arriveChecked(blobs: BlobStore, bytes: Readable): Promise<Arrived & { readonly check: FileCheck }> {
  const copy = new PassThrough();
  const checking = checkFile(copy);
  // Where the stream fails, its own error counts.
  checking.catch(() => undefined);
  copy.on("error", () => undefined);
  async function* copied(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
        if (!copy.write(chunk)) await happens(copy, "drain");
        yield chunk;
      }
      copy.end();
    } finally {
      if (!copy.writableEnded) copy.destroy(new Error("the upload was cut off"));
    }
  }
  const arrived = await blobs.arrive(copied());
  try {
    return { ...arrived, check: await checking };
  } catch (error) {
    await arrived.drop();
    throw error;
  }
}

/** The live service of OpenAI delivers result files as base64, and scripts decode them. */
async function wantsBase64({ store }: Service, project: string | undefined, file: StoredFile): Promise<boolean> {
  if (file.purpose !== "fine-tune-results" || project === undefined) return false;
  const settings = (await store.projects.get({ ...SYSTEM, project }, project))?.settings;
  return settings?.resultFiles === "base64";
}

const SYSTEM = { key: "server", kind: "project", scopes: [], owner: "server" } as const;

const content = (bytes: ReadableStream<Uint8Array>, file: StoredFile, asBase64: boolean): Response =>
  new Response(bytes, {
    headers: {
      "content-type": "application/octet-stream",
      ...(asBase64 ? {} : { "content-length": String(file.bytes) }),
      "content-disposition": `attachment; filename="${file.id}"; filename*=UTF-8''${encoded(file.filename)}`,
    },
  });

/** As RFC 8187 writes names. */
const encoded = (name: string): string =>
  encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

async function* base64(bytes: Readable): AsyncGenerator<Uint8Array> {
  let rest = Buffer.alloc(0);
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    const all = Buffer.concat([rest, chunk]);
    const whole = all.length - (all.length % 3);
    rest = all.subarray(whole);
    yield Buffer.from(all.subarray(0, whole).toString("base64"));
  }
  if (rest.length > 0) yield Buffer.from(rest.toString("base64"));
}
