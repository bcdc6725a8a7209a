import { z } from "zod";
import type { FileFacts } from "../../domain/file-facts.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { StoredFile } from "../../store/files.ts";
import type { Upload } from "../../store/uploads.ts";
import { strict } from "../json.ts";

export const Purpose = z.literal("fine-tune");

/** Numbers come as text in forms. */
export const ExpiresAfter = strict({
  anchor: z.literal("created_at"),
  seconds: z.coerce.number().int().min(LIMITS.expirySeconds.least).max(LIMITS.expirySeconds.most),
});

export const FileObject = z.strictObject({
  id: z.string(),
  object: z.literal("file"),
  bytes: z.int(),
  created_at: z.int(),
  filename: z.string(),
  purpose: z.enum(["fine-tune", "fine-tune-results"]),
  status: z.enum(["uploaded", "processed", "error"]),
  status_details: z.string().optional(),
  expires_at: z.int().optional(),
});

/** What is wrong with a file in one sentence, without any of its text. */
export function faultSummary({ faults, faultCount }: FileFacts): string {
  const [first] = faults;
  const where = first === undefined || first.line === 0 ? "" : ` in line ${first.line}`;
  const more = faultCount > 1 ? `; ${faultCount} faults in all` : "";
  return `${first?.code}${where}: ${first?.message}${more}`;
}

export function fileReply(file: StoredFile, check: FileFacts | undefined): z.input<typeof FileObject> {
  const bad = check !== undefined && check.faultCount > 0;
  return {
    id: file.id,
    object: "file",
    bytes: file.bytes,
    created_at: file.createdAt,
    filename: file.filename,
    purpose: file.purpose as z.input<typeof FileObject>["purpose"],
    status: bad ? "error" : "processed",
    ...(bad ? { status_details: faultSummary(check) } : {}),
    ...(file.expiresAt === null ? {} : { expires_at: file.expiresAt }),
  };
}

/** Where a file is wrong, and how: never what stands there. */
export const ChecksReply = z.strictObject({
  object: z.literal("booster.file_checks"),
  file: z.string(),
  rows: z.int(),
  fault_count: z.int(),
  faults: z.array(z.strictObject({ line: z.int(), column: z.int(), code: z.string(), message: z.string() })),
});

export const UploadCreate = strict({
  bytes: z.int().min(1).max(LIMITS.uploadBytes),
  filename: z.string().min(1).max(LIMITS.filenameLength),
  mime_type: z.string().min(1).max(200),
  purpose: Purpose,
  expires_after: ExpiresAfter.optional(),
});

export const UploadComplete = strict({
  part_ids: z.array(z.string().max(200)).min(1).max(LIMITS.partsPerUpload),
  md5: z
    .string()
    .regex(/^[\da-fA-F]{32}$/, "must be 32 hexadecimal digits")
    .optional(),
});

export const UploadObject = z.strictObject({
  id: z.string(),
  object: z.literal("upload"),
  bytes: z.int(),
  created_at: z.int(),
  expires_at: z.int(),
  filename: z.string(),
  purpose: z.string(),
  status: z.enum(["pending", "completed", "cancelled", "expired"]),
  file: FileObject.nullable(),
});

export const PartObject = z.strictObject({
  id: z.string(),
  object: z.literal("upload.part"),
  created_at: z.int(),
  upload_id: z.string(),
});

export const uploadReply = (upload: Upload, file: z.input<typeof FileObject> | null): z.input<typeof UploadObject> => ({
  id: upload.id,
  object: "upload",
  bytes: upload.bytes,
  created_at: upload.createdAt,
  expires_at: upload.expiresAt,
  filename: upload.filename,
  purpose: upload.purpose,
  status: upload.status,
  file,
});

export const Deleted = <Name extends string>(object: Name) =>
  z.strictObject({ id: z.string(), object: z.literal(object), deleted: z.literal(true) });
