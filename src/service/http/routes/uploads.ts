import type { Readable } from "node:stream";
import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { checkFile } from "../../pipeline/check-file.ts";
import type { Upload } from "../../store/uploads.ts";
import { checked } from "../errors.ts";
import { strict } from "../json.ts";
import { withForm } from "../multipart.ts";
import { type Route, route } from "../route.ts";
import { found, onceOf, type Service } from "../service.ts";
import { fileReply, PartObject, UploadComplete, UploadCreate, UploadObject, uploadReply } from "../wire/file.ts";

/** Large files in parts. */
export function uploadRoutes({ store }: Service): Route[] {
  const reply = async (principal: Principal, upload: Upload) => {
    const file = upload.file === null ? undefined : await store.files.get(principal, upload.file);
    return uploadReply(upload, file === undefined ? null : fileReply(file, await store.checks.get(file.sha256)));
  };
  return [
    route({
      method: "post",
      path: "/v1/uploads",
      summary: "Announce a large file that will come in parts",
      body: UploadCreate,
      reply: UploadObject,
      async handle(call) {
        const { body, principal } = call;
        const upload = await store.uploads.create(principal, {
          bytes: body.bytes,
          filename: body.filename,
          mimeType: body.mime_type,
          purpose: body.purpose,
          fileExpiresAfter: body.expires_after?.seconds,
          once: onceOf(call, body),
        });
        return reply(principal, upload);
      },
    }),
    route({
      method: "post",
      path: "/v1/uploads/{id}/parts",
      summary: "Send a part; in any order, several at once",
      form: z.strictObject({ data: z.string().meta({ format: "binary" }) }),
      reply: PartObject,
      async handle(call) {
        const { principal, params, incoming } = call;
        const id = params.id!;
        const arrival = store.arrivals.begin(found(await store.uploads.rooms(principal, id)));
        const take = (bytes: Readable) => store.blobs.arrive(bytes);
        return withForm(arrival, incoming, LIMITS.partBytes, take, async ({ fields, file }) => {
          checked(strict({}), fields);
          if (file === undefined || file.name !== "data") {
            throw new ServiceError("missing_required_parameter", "the form has no part", { param: "data" });
          }
          const { sha256, bytes } = file.made.stored;
          const once = onceOf(call, [id, sha256]);
          await store.uploads.admit(principal, id, arrival, once);
          await file.made.keep();
          const part = found(await store.uploads.addPart(principal, id, { sha256, bytes, once, arrival }));
          return { id: part.id, object: "upload.part", created_at: part.createdAt, upload_id: part.upload };
        });
      },
    }),
    route({
      method: "post",
      path: "/v1/uploads/{id}/complete",
      summary: "Put the parts together, in the order given",
      body: UploadComplete,
      reply: UploadObject,
      async handle({ principal, params, body }) {
        const done = found(
          await store.uploads.complete(principal, params.id!, { parts: body.part_ids, md5: body.md5 }),
        );
        const file = await store.files.get(principal, done.file);
        if (file !== undefined && (await store.checks.get(file.sha256)) === undefined) {
          await store.checks.put(file.sha256, await checkFile(await store.blobs.open(file.sha256)));
        }
        return reply(principal, done.upload);
      },
    }),
    route({
      method: "post",
      path: "/v1/uploads/{id}/cancel",
      summary: "Give up an upload",
      body: strict({}),
      bodyOptional: true,
      reply: UploadObject,
      handle: async ({ principal, params }) =>
        reply(principal, found(await store.uploads.cancel(principal, params.id!))),
    }),
  ];
}
