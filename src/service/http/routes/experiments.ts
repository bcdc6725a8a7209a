import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../../../errors.ts";
import { type ExperimentResult, parseResult, renderHtml } from "../../../report/index.ts";
import { LIMITS } from "../../domain/limits.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { pageOf, pageReply } from "../wire/page.ts";

/** What an experiment calls its result in its folder. */
const RESULT = "result.json";

/** The report is a page of the house's own making, without any script. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const ExperimentObject = z.strictObject({
  /** Its folder's name. */
  id: z.string(),
  object: z.literal("booster.experiment"),
  changed_at: z.int(),
  bytes: z.int(),
});

/** Experiments in the folder that the server was given, whose reports owners read. */
export function experimentRoutes({ experiments }: Service): Route[] {
  const list = async (): Promise<z.input<typeof ExperimentObject>[]> => {
    const names = experiments === undefined ? [] : await readdir(experiments).catch(() => []);
    const all = await Promise.all(
      names.map(async (id) => {
        const facts = await stat(join(experiments!, id, RESULT)).catch(() => undefined);
        if (facts?.isFile() !== true) return [];
        return [
          {
            id,
            object: "booster.experiment" as const,
            changed_at: Math.floor(facts.mtimeMs / 1000),
            bytes: facts.size,
          },
        ];
      }),
    );
    return all.flat().sort((a, b) => b.changed_at - a.changed_at);
  };
  return [
    route({
      method: "get",
      path: "/v1/booster/experiments",
      summary: "Finished experiments in the server's folder of experiments, newest first",
      reply: pageOf(ExperimentObject),
      handle: async () => pageReply({ data: await list(), hasMore: false }, (one) => one),
    }),
    route({
      method: "get",
      path: "/v1/booster/experiments/{id}/report",
      summary: "An experiment's report, as a page",
      reply: z.string(),
      media: ["text/html"],
      async handle({ params }) {
        const { id, bytes } = found((await list()).find((one) => one.id === params.id));
        const where = join(id, RESULT);
        if (bytes > LIMITS.experimentBytes) throw tooLarge(where, bytes);
        const result = parseResult(await read(join(experiments!, where), where), where);
        return new Response(renderHtml(withoutLinks(result)), {
          headers: {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": POLICY,
            "cache-control": "no-store",
          },
        });
      },
    }),
  ];
}

/** Files of single runs lie beside the report, and are not served. */
function withoutLinks({ search, ...result }: ExperimentResult): ExperimentResult {
  const bare = ({ folders: _, ...run }: ExperimentResult["runs"][number]): ExperimentResult["runs"][number] => run;
  const runs = result.runs.map(bare);
  return { ...result, runs, ...(search === undefined ? {} : { search: { ...search, found: search.found.map(bare) } }) };
}

async function read(file: string, where: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new BoosterError("RESULT_INVALID", "the result cannot be read", { where, cause });
  }
}

const tooLarge = (where: string, bytes: number): BoosterError =>
  new BoosterError("RESULT_INVALID", "the result is too large to be shown", {
    expected: `at most ${LIMITS.experimentBytes} bytes`,
    found: String(bytes),
    where,
  });
