import { z } from "zod";
import { defineCommand } from "../command.ts";
import { commandFields } from "../command-fields.ts";
import { flagOf } from "../flags.ts";
import { COMMANDS } from "./index.ts";

/** A command's flags, each with the values that it chooses from. */
interface Words {
  readonly command: string;
  readonly flags: readonly { readonly flag: string; readonly values: readonly string[] }[];
}

const COMMON = ["--config", "--print-config", "--json", "--help", "--help-all"];
const SHELLS = ["bash", "zsh", "fish"] as const;

async function wordsOf(): Promise<Words[]> {
  const words: Words[] = [];
  for (const { name, load } of COMMANDS) {
    const { own, settings } = commandFields(await load());
    const flags = [...own, ...settings].map(({ flag, kind, choices }) => ({
      flag: flagOf(flag),
      values: kind === "boolean" ? [] : (choices ?? []),
    }));
    words.push({ command: name, flags: [...flags, ...COMMON.map((flag) => ({ flag, values: [] }))] });
  }
  return words;
}

/** What may stand at the place of the first word, and behind a first word of two. */
function commandWords(words: readonly Words[]): Map<string, string[]> {
  const found = new Map<string, string[]>([["", []]]);
  for (const { command } of words) {
    const [first = "", second] = command.split(" ");
    if (second !== undefined) found.set(first, [...(found.get(first) ?? []), second]);
    found.set("", [...new Set([...(found.get("") ?? []), first])]);
  }
  return found;
}

function bash(words: readonly Words[]): string {
  const values = words.flatMap(({ command, flags }) =>
    flags
      .filter((flag) => flag.values.length > 0)
      .map((flag) => `    "${command} ${flag.flag}") words="${flag.values.join(" ")}" ;;`),
  );
  const names = [...commandWords(words)].map(([first, next]) => `    "${first}") words="${next.join(" ")}" ;;`);
  const flags = words.map(
    ({ command, flags }) => `    "${command}") words="${flags.map(({ flag }) => flag).join(" ")}" ;;`,
  );
  return `_booster() {
  local words="" current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="" word
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    [[ $word == -* ]] && break
    command="\${command:+$command }$word"
    [[ $word != data ]] && break
  done
  case "$command $before" in
${values.join("\n")}
  esac
  if [[ -z $words && $current == -* ]]; then case "$command" in
${flags.join("\n")}
  esac; elif [[ -z $words ]]; then case "$command" in
${names.join("\n")}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _booster booster
`;
}

function fish(words: readonly Words[]): string {
  const names = [...commandWords(words)].map(([first, next]) => {
    const when = first === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${first}`;
    return `complete -c booster -f -n "${when}" -a "${next.join(" ")}"`;
  });
  const flags = words.flatMap(({ command, flags }) => {
    const when = command
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    return flags.map(({ flag, values }) => {
      const chosen = values.length === 0 ? "" : ` -x -a "${values.join(" ")}"`;
      return `complete -c booster -n "${when}" -l ${flag.slice(2)}${chosen}`;
    });
  });
  return `${[...names, ...flags].join("\n")}\n`;
}

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (words: readonly Words[]) => string>> = {
  bash,
  zsh: (words) => `autoload -U +X compinit bashcompinit && compinit && bashcompinit\n${bash(words)}`,
  fish,
};

/** `booster completion` */
export const completion = defineCommand({
  details: `Prints what makes the Tab key complete commands, flags and names of choices in a shell. It is made once, and again after an
update.`,
  examples: [
    ["booster completion bash > ~/.local/share/bash-completion/completions/booster", "bash, from the next terminal on"],
    ["booster completion zsh > ~/.booster.zsh; echo 'source ~/.booster.zsh' >> ~/.zshrc", "zsh"],
    ["booster completion fish > ~/.config/fish/completions/booster.fish", "fish"],
  ],
  options: z.strictObject({ shell: z.enum(SHELLS).describe("Shell") }),
  positional: ["shell"],
  run: async ({ shell }) => void process.stdout.write(SCRIPTS[shell](await wordsOf())),
});
