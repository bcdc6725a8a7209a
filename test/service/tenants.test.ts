/** Where tenants are kept apart: only the store asks the database, and what it tells of tenants' things it tells to a principal. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Files } from "../../src/service/store/files.ts";
import { JobRecords } from "../../src/service/store/job-records.ts";
import { Jobs } from "../../src/service/store/jobs.ts";
import { Keys } from "../../src/service/store/keys.ts";
import { MIGRATIONS } from "../../src/service/store/migrations/index.ts";
import { Models } from "../../src/service/store/models.ts";
import { Projects } from "../../src/service/store/projects.ts";
import { Reviews } from "../../src/service/store/reviews.ts";
import { Uploads } from "../../src/service/store/uploads.ts";
import { Usage } from "../../src/service/store/usage.ts";
import { Webhooks } from "../../src/service/store/webhooks.ts";

const src = join(import.meta.dirname, "../../src");
const tables = MIGRATIONS.flatMap(({ sql }) =>
  Array.from(sql.matchAll(/^create table (\w+)/gm), ([, name]) => name as string),
);
const SQL = new RegExp(`\\b(from|into|update|join|table|truncate)\\s+(${tables.join("|")})\\b`, "i");

describe("tenants", () => {
  test("nothing but the store speaks SQL", () => {
    expect(tables).toContain("files");
    expect("select 1 from files").toMatch(SQL);
    const speaking = readdirSync(src, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.startsWith("service/store/"))
      .filter((file) => {
        const strings = readFileSync(join(src, file), "utf8").match(/`[^`]*`|"[^"\n]*"/g) ?? [];
        return strings.some((text) => /^.\s*(with|select|insert|update|delete)\b/i.test(text) && SQL.test(text));
      });
    expect(speaking).toEqual([]);
  });

  /** Those that are about no tenant, or whose caller has looked the thing up for a principal: each with its reason. */
  const WITHOUT: Readonly<Record<string, string>> = {
    "Keys.any": "whether the server is new",
    "Keys.admit": "makes the principal of a key that was found",
    "Keys.find": "makes the principal",
    "Projects.org": "the server's own",
    "JobRecords.pace": "numbers of one job on a base, without whose they are",
    "Jobs.heldFor": "a number of the whole server, without whose it is",
    "Jobs.position": "takes a job that was looked up",
    "Jobs.counts": "numbers of the whole server, without whose they are",
    "Models.ended": "names for the engine, which serves no one by itself",
    "Models.grants": "admin only: a model's name is looked up before",
    "Reviews.decisions": "takes a job that was looked up",
    "Reviews.expire": "the server's own clock",
  };

  test("every method about tenants' things takes a principal first", () => {
    const repositories = [Files, Uploads, Jobs, JobRecords, Keys, Models, Projects, Reviews, Usage, Webhooks];
    const methods = repositories.flatMap((repository) =>
      Object.getOwnPropertyNames(repository.prototype)
        .filter((name) => name !== "constructor")
        .map((name) => {
          const method = Object.getOwnPropertyDescriptor(repository.prototype, name)?.value as () => unknown;
          return { name: `${repository.name}.${name}`, first: /\(\s*(\{ project\b|\w*)/.exec(method.toString())?.[1] };
        }),
    );
    expect(methods.length).toBeGreaterThan(30);
    const without = methods
      .filter(({ first }) => first !== "principal" && first !== "{ project")
      .map((method) => method.name);
    expect(without.sort()).toEqual(Object.keys(WITHOUT).sort());
  });
});
