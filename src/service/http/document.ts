import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { ACCESS } from "./access.ts";
import { type Env, keyOf, placesOf, type Route } from "./route.ts";

/** The form of every error. */
export const ErrorReply = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
    booster: z
      .strictObject({
        expected: z.string().optional(),
        found: z.string().optional(),
        where: z.string().optional(),
        hint: z.string().optional(),
      })
      .optional(),
  }),
});

/** Writes a route into the OpenAPI document. */
export function document(registry: OpenAPIHono<Env>["openAPIRegistry"], spec: Route): void {
  const { scope } = ACCESS[keyOf(spec)]!;
  const places = placesOf(spec.path);
  const query = spec.query instanceof z.ZodObject ? spec.query : undefined;
  const content = [
    ...(spec.body === undefined ? [] : [["application/json", { schema: spec.body }] as const]),
    ...(spec.form === undefined ? [] : [["multipart/form-data", { schema: spec.form }] as const]),
  ];
  registry.registerPath({
    method: spec.method,
    path: spec.path,
    summary: spec.summary,
    security: scope === "everyone" ? [] : [{ key: scope === "key" ? [] : [scope] }, { session: [] }],
    request: {
      ...(places.length === 0
        ? {}
        : { params: z.object(Object.fromEntries(places.map((name) => [name, z.string()]))) }),
      ...(query === undefined ? {} : { query }),
      ...(content.length === 0
        ? {}
        : { body: { required: spec.bodyOptional !== true, content: Object.fromEntries(content) } }),
    },
    responses: {
      200: {
        description: "what was asked for",
        content: Object.fromEntries([
          ...(spec.media ?? []).map((type) => [type, { schema: z.string() }] as const),
          ...(spec.reply instanceof z.ZodUndefined ? [] : [["application/json", { schema: spec.reply }] as const]),
        ]),
      },
      default: { description: "what is wrong", content: { "application/json": { schema: ErrorReply } } },
    },
  });
}

/** The document of all routes. */
export function documentOf(app: OpenAPIHono<Env>, version: string): Record<string, unknown> {
  app.openAPIRegistry.registerComponent("securitySchemes", "key", { type: "http", scheme: "bearer" });
  app.openAPIRegistry.registerComponent("securitySchemes", "session", {
    type: "apiKey",
    in: "cookie",
    name: "booster-session",
  });
  const made: object = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Booster",
      version,
      description: "Fine-tuning as a service that stays safe, in the wire format of OpenAI's clients",
    },
  });
  return { ...made };
}
