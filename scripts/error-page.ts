/** `npm run errors`: writes docs/errors.md from the table of error codes; a test says when it is out of date. */
import { writeFileSync } from "node:fs";
import { ERROR_CODES, type ErrorKind } from "../src/error-codes.ts";
import { packagePath } from "../src/stages/package-root.ts";

const KINDS: Readonly<Record<ErrorKind, string>> = {
  usage: "The call, an option or the configuration file is wrong: correct it. Exit code 2; all other kinds end with 1.",
  data: "A file or a data set that was given cannot be used: another try with the same bytes ends the same way.",
  diverged: "The numbers left the finite ones. An experiment leaves such a cell out, says so and goes on.",
  stopped: "Somebody asked for a stop. After Ctrl-C (SIGINT) a command exits with 130, after SIGTERM with 143.",
  environment:
    "The machine, the disk, the network or another process stands in the way: try again once that has changed.",
  internal: "A defect of the program, or of code that calls the library with values that do not fit: please report it.",
};

/** The page that explains every error code. */
export function errorPage(): string {
  const sections = Object.entries(KINDS).map(([kind, about]) => {
    const rows = Object.entries(ERROR_CODES).filter(([, row]) => row.kind === kind);
    const lines = rows.map(([code, { meaning }]) => `| \`${code}\` | ${meaning} |`);
    return [`## ${kind}`, "", about, "", "| Code | Meaning |", "| --- | --- |", ...lines, ""].join("\n");
  });
  return `# Errors

Every error has a code that stays the same and a kind that says who can do something about it. In the library it is a \`BoosterError\` with
\`code\`, \`kind\`, \`problem\` and \`details\` (expected, found, where, hint); a command with \`--json\` writes them as its last line.
This page is made by \`npm run errors\` from \`src/error-codes.ts\`.

${sections.join("\n")}`;
}

if (import.meta.filename === process.argv[1]) writeFileSync(packagePath("docs/errors.md"), errorPage());
