import { join } from "node:path";
import { z } from "zod";
import { randomBase62 } from "../../domain/ids.ts";
import { ownerOf } from "../../domain/principal.ts";
import { backup } from "../../store/backup.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import type { Service } from "../service.ts";

/** Blobs that rows need and the backup has not, and which rows: so many are named. */
const TOLD = 1000;
const Lost = z.strictObject({
  of: z.string(),
  id: z.string(),
  sha256: z.string(),
  how: z.enum(["missing", "damaged"]),
});

/** A backup while the server runs, which alone may read an embedded database. It stays on the server's host: it holds the keys. */
export function backupRoutes({ store }: Service): Route[] {
  return [
    route({
      method: "post",
      path: "/v1/booster/backups",
      summary: "Write a backup into the server's folder, below backups",
      body: strict({}),
      bodyOptional: true,
      reply: z.strictObject({
        id: z.string(),
        object: z.literal("booster.backup"),
        blobs: z.int(),
        lost: z.array(Lost),
      }),
      async handle({ principal }) {
        const time = new Date(store.context.now() * 1000).toISOString().replace(/[-:]|\.\d+/g, "");
        const id = `${time}-${randomBase62(6)}`;
        const { blobs, lost } = await backup(store, join(store.folders.backups, id));
        await store.audit.note(ownerOf(principal), "backup.made", { id, blobs, lost: lost.length });
        return { id, object: "booster.backup", blobs, lost: lost.slice(0, TOLD) };
      },
    }),
  ];
}
