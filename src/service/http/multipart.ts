import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Arrival } from "../store/arrivals.ts";
import type { Arrived } from "../store/blobs.ts";
import { bodyOf } from "./json.ts";

type Dropped = Pick<Arrived, "drop">;

/** What a form of several parts had in it: fields, and what was made of its one file. */
export interface Form<Made> {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly file?: { readonly name: string; readonly filename: string; readonly made: Made };
}

/**
 * Reads a form while it comes: the file's bytes go to `take` as they arrive, never all of them into memory. Fields may follow the file.
 * `expires_after[seconds]` is a field of an object.
 *
 * @param take must read the stream to its end, or fail; where the form is refused all the same, what it gave is dropped
 * @throws {ServiceError} `unsupported_media_type`, `invalid_value`, `body_too_large`, and what `take` throws
 */
async function readForm<Made extends Dropped>(
  incoming: IncomingMessage,
  fileLimit: number,
  take: (bytes: Readable) => Promise<Made>,
): Promise<Form<Made>> {
  const type = incoming.headers["content-type"];
  if (type === undefined || !/^multipart\/form-data;/i.test(type)) {
    throw new ServiceError("unsupported_media_type", "the body is no form", { expected: "multipart/form-data" });
  }
  const busboy = parserOf(type, fileLimit);
  const fields: Record<string, unknown> = Object.create(null);
  const files: Promise<NonNullable<Form<Made>["file"]>>[] = [];
  let fault: ServiceError | undefined;
  const refuse = (message: string, param?: string): void => {
    fault ??= new ServiceError("invalid_value", message, param === undefined ? {} : { param });
  };
  busboy.on("field", (name, value, nameCut, valueCut) => {
    if (nameCut || valueCut) refuse("a field of the form is too long", name.slice(0, 100));
    else if (!addField(fields, name, value)) refuse("a field stands twice in the form", name.slice(0, 100));
  });
  // A form that breaks off is told once more to each stream of it: unheard, by one that nobody reads, that would end the process.
  const unheard = (): void => undefined;
  busboy.on("error", unheard);
  const streams: Readable[] = [];
  busboy.on("file", (name, stream, filename) => {
    stream.on("error", unheard);
    streams.push(stream);
    if (files.length > 0) {
      refuse("the form has several files", name.slice(0, 100));
      stream.resume();
      return;
    }
    const made = take(limited(stream, fileLimit)).then((made) => ({ name, filename: nameOf(filename), made }));
    // Where it fails nobody reads the rest, and the parser would wait for ever.
    made.catch((error: unknown) => {
      stream.resume();
      busboy.destroy(error as Error);
    });
    files.push(made);
  });
  for (const event of ["partsLimit", "filesLimit", "fieldsLimit"] as const) {
    busboy.on(event, () => refuse("the form has too many parts"));
  }
  // Room for the fields and borders around the file.
  const body = Readable.from(bodyOf(incoming, fileLimit + LIMITS.multipartParts * 2 * LIMITS.multipartFieldBytes));
  try {
    await pipeline(body, busboy);
  } catch (error) {
    // The parser leaves a file that it was in the middle of as it is, and whoever reads that would wait for ever.
    for (const stream of streams) stream.destroy(new Error("the form broke off"));
    const [made] = await Promise.allSettled(files);
    if (made?.status === "fulfilled") await made.value.made.drop();
    if (made?.status === "rejected" && made.reason instanceof ServiceError) throw made.reason;
    if (error instanceof ServiceError) throw error;
    if (made?.status === "rejected" && made.reason === error) throw error;
    throw new ServiceError("invalid_value", "the form cannot be read", { cause: error });
  }
  const [file] = await Promise.all(files);
  if (fault !== undefined) {
    await file?.made.drop();
    throw fault;
  }
  return { fields: { ...fields }, ...(file === undefined ? {} : { file }) };
}

/**
 * As `readForm`, where there may be room for less than the limit: what is larger than that is told so. The file counts while it comes, until `use` has ended; what
 * `use` has not kept of it by then is gone.
 */
export async function withForm<Made extends Dropped, Result>(
  arrival: Arrival,
  ...[incoming, fileLimit, take, use]: [
    ...Parameters<typeof readForm<Made>>,
    use: (form: Form<Made>) => Promise<Result>,
  ]
): Promise<Result> {
  const { room } = arrival;
  try {
    const form = await readForm(incoming, Math.min(fileLimit, room.bytes), (bytes) => take(counted(bytes, arrival)));
    return await use(form).finally(() => form.file?.made.drop());
  } catch (error) {
    if (room.bytes >= fileLimit || !(error instanceof ServiceError) || error.code !== "body_too_large") throw error;
    throw room.beyond;
  } finally {
    arrival.end();
  }
}

/** The same bytes, counted as they come. */
const counted = (stream: Readable, arrival: Arrival): Readable =>
  Readable.from(
    (async function* () {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        arrival.take(chunk.length);
        yield chunk;
      }
    })(),
  );

function parserOf(type: string, fileLimit: number): BusboyInstance {
  const limits = {
    fieldNameSize: 100,
    fieldSize: LIMITS.multipartFieldBytes,
    fields: LIMITS.multipartParts,
    parts: LIMITS.multipartParts,
    files: 2,
    // One more than is allowed: what is cut off can so be told from what just fits.
    fileSize: fileLimit + 1,
    headerPairs: 20,
    headerSize: 4096,
  };
  try {
    return new Busboy({ headers: { "content-type": type }, limits });
  } catch (cause) {
    throw new ServiceError("invalid_value", "the form has no boundary", { cause });
  }
}

/** The bytes of a file, ending in an error where there are too many. */
function limited(stream: Readable, limit: number): Readable {
  let bytes = 0;
  return Readable.from(
    (async function* () {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > limit) {
          throw new ServiceError("body_too_large", "the file is too large", { expected: `at most ${limit} bytes` });
        }
        yield chunk;
      }
    })(),
  );
}

/** `a[b]` is `b` of an object `a`. False where the field is there already. */
function addField(fields: Record<string, unknown>, name: string, value: string): boolean {
  const [, outer = name, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
  if (inner === undefined) {
    if (outer in fields) return false;
    fields[outer] = value;
    return true;
  }
  const object = fields[outer] ?? Object.create(null);
  fields[outer] = object;
  if (typeof object !== "object" || object === null || inner in object) return false;
  (object as Record<string, unknown>)[inner] = value;
  return true;
}

/** What a file is called: the last part of whatever path came, without what is no letter. Only ever shown: no path is made of it. */
const nameOf = (filename: string | undefined): string => {
  const name = (filename ?? "")
    .split(/[/\\]/)
    .at(-1)!
    .replace(/\p{Cc}/gu, "");
  return [...name].slice(0, LIMITS.filenameLength).join("") || "upload";
};
