import { readFileSync } from "node:fs";
import { z } from "zod";
import { BoosterError } from "../errors.ts";

/** Where a command finds the server and its key. A key is never given as a flag: others could read it there. */
export const ServiceOptions = z.strictObject({
  server: z
    .url({ protocol: /^https?$/ })
    .default("http://127.0.0.1:8642")
    .describe("Address of the server"),
  keyFile: z
    .string()
    .min(1)
    .optional()
    .describe("File with a key that may do it; without it the environment's BOOSTER_API_KEY, or OPENAI_API_KEY"),
});
type ServiceOptions = z.output<typeof ServiceOptions>;

const Told = z.object({
  error: z.object({
    message: z.string(),
    code: z.string().nullable(),
    booster: z
      .object({ expected: z.string(), found: z.string(), where: z.string(), hint: z.string() })
      .partial()
      .optional(),
  }),
});

/** What of a request is not its address. */
export interface Asked {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly body?: unknown;
}

/**
 * Asks a running server.
 *
 * @throws {BoosterError} `SERVICE_UNREACHABLE`, `SERVICE_REFUSED` with the server's own words
 */
export async function askService<T>(
  options: ServiceOptions,
  path: string,
  reply: z.ZodType<T>,
  { method = "GET", body }: Asked = {},
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(new URL(path, options.server), {
      method,
      headers: { authorization: `Bearer ${keyOf(options)}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    if (cause instanceof BoosterError) throw cause;
    throw new BoosterError("SERVICE_UNREACHABLE", "no server answers there", {
      where: options.server,
      hint: "Start one with booster serve, or say where it is: --server",
      cause,
    });
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok || response.status === 503) {
    const read = reply.safeParse(answer);
    if (read.success) return read.data;
  }
  const told = Told.safeParse(answer).data?.error;
  throw new BoosterError("SERVICE_REFUSED", told?.message ?? "the server answered something else", {
    ...(told?.booster?.expected === undefined ? {} : { expected: told.booster.expected }),
    found: told?.code ?? `status ${response.status}`,
    where: options.server,
  });
}

function keyOf({ keyFile }: ServiceOptions): string {
  if (keyFile !== undefined) {
    try {
      return readFileSync(keyFile, "utf8").trim();
    } catch (cause) {
      throw new BoosterError("CONFIG_NOT_READ", "the key cannot be read", { where: keyFile, cause });
    }
  }
  const key = process.env.BOOSTER_API_KEY ?? process.env.OPENAI_API_KEY;
  if (key !== undefined && key !== "") return key;
  throw new BoosterError("OPTION_MISSING", "no key is known", {
    expected: "--key-file, or BOOSTER_API_KEY in the environment",
    hint: "The first start of booster serve prints one",
  });
}

/** Lists are read page by page. */
export async function askAll<T extends { readonly id: string }>(
  options: ServiceOptions,
  path: string,
  item: z.ZodType<T>,
): Promise<T[]> {
  const page = z.object({ data: z.array(item), has_more: z.boolean() });
  const all: T[] = [];
  for (let more = true; more; ) {
    const after = all.at(-1)?.id;
    const query = new URLSearchParams({ limit: "100", ...(after === undefined ? {} : { after }) });
    const { data, has_more } = await askService(options, `${path}${path.includes("?") ? "&" : "?"}${query}`, page);
    all.push(...data);
    more = has_more && data.length > 0;
  }
  return all;
}
