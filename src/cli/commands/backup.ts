import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { BlobsOption } from "../../service/serve-options.ts";
import { defineCommand } from "../command.ts";
import { askService, ServiceOptions } from "../service-client.ts";

const Lost = z.array(z.object({ of: z.string(), id: z.string(), sha256: z.string(), how: z.string() }));
const Made = z.object({ id: z.string(), blobs: z.number(), lost: Lost });

/** How many are named in the error. */
const NAMED = 20;

/** The rest of a store is worth having all the same; but nobody may take it for the whole. @throws {BoosterError} `BACKUP_INCOMPLETE` */
function checkWhole(lost: readonly z.output<typeof Lost>[number][], where: string): void {
  if (lost.length === 0) return;
  const named = lost.slice(0, NAMED).map(({ of, id, sha256, how }) => `${of} ${id}: ${sha256} ${how}`);
  const more = lost.length > named.length ? [`and ${lost.length - named.length} more`] : [];
  throw new BoosterError("BACKUP_INCOMPLETE", "the backup was written without stored files that rows need", {
    found: [...named, ...more].join("\n"),
    where,
    hint: "Bring the files back from an earlier backup, or delete what needs them; what was deleted while the backup was written is named as well",
  });
}

/** `booster backup` */
export const command = defineCommand({
  details: `Writes all that a service keeps into a new folder: database, files, keys. It is as secret as the server's own folder. A running server is asked with
--server, and writes it below backups in its own folder. Without --server the folder and the database (DATABASE_URL where it is PostgreSQL) are read from
here; a server with an embedded database must then be stopped. Stored files that rows need and that are not there, or damaged, are named in an error (exit code
1); the backup is kept, with all the rest.`,
  examples: [
    "booster backup --data data --to backups/monday  # can be restored into either kind of database",
    "booster backup --server http://127.0.0.1:8642  # of a running server, on its host; needs an owner's key",
  ],
  options: z.strictObject({
    blobs: BlobsOption,
    data: z.string().min(1).default("data").describe("Folder of the server"),
    to: z.string().min(1).optional().describe("New folder of the backup"),
    server: ServiceOptions.shape.server.unwrap().optional().describe("Address of a running server"),
    keyFile: ServiceOptions.shape.keyFile,
  }),
  async run({ data, blobs, to, server, keyFile }, { output }) {
    if ((to === undefined) === (server === undefined)) {
      throw new BoosterError("OPTIONS_CONFLICT", "a backup is made here or by a running server", {
        expected: "--to or --server, one of them",
      });
    }
    if (to === undefined) {
      const asked = { server: server as string, keyFile };
      const made = await askService(asked, "/v1/booster/backups", Made, { method: "POST", body: {} });
      const { id, blobs: files } = made;
      checkWhole(made.lost, `backups/${id} in the server's folder`);
      output.result(
        { id, blobs: files },
        () => `Written to backups/${id} in the server's folder, with ${files} stored files`,
      );
      return;
    }
    const { openStore } = await import("../../service/store/store.ts");
    const { backup } = await import("../../service/store/backup.ts");
    const store = await openStore({
      data,
      databaseUrl: process.env.DATABASE_URL,
      blobs: blobs ?? process.env.BOOSTER_BLOBS,
    });
    try {
      const { blobs: files, lost } = await backup(store, to);
      checkWhole(lost, to);
      output.result({ to, blobs: files }, () => `Written to ${to}, with ${files} stored files`);
    } finally {
      await store.close();
    }
  },
});
