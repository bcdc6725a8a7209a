/**
 * `npm run papers`: puts the line numbers in PAPERS.md right after code has moved. Each place stands in a table row with the
 * code that is there; a place whose code is gone is left as it is, for `test/papers.test.ts` to name.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { packagePath } from "../src/stages/package-root.ts";

const ROW = /`([\w./-]+\.ts):(\d+)`(.*\| `(.+)` +\|)$/;

const path = packagePath("PAPERS.md");
let moved = 0;
const page = readFileSync(path, "utf8")
  .split("\n")
  .map((row) =>
    row.replace(ROW, (whole: string, file: string, line: string, rest: string, code: string) => {
      const lines = readFileSync(packagePath(file), "utf8").split("\n");
      const found = lines.flatMap((text, i) => (text.includes(code) ? [i + 1] : []));
      const distance = (n: number) => Math.abs(n - Number(line));
      const nearest = found.toSorted((a, b) => distance(a) - distance(b))[0];
      if (nearest === undefined || nearest === Number(line)) return whole;
      moved++;
      return `\`${file}:${nearest}\`${rest}`;
    }),
  )
  .join("\n");
writeFileSync(path, page);
console.log(`${moved} places moved`);
