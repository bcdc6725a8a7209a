import { z } from "zod";
import { defineCommand } from "../command.ts";

const BASH = `_booster() { COMPREPLY=($(booster __complete "\${COMP_WORDS[@]:1:$COMP_CWORD}" 2>/dev/null)); }
complete -o default -F _booster booster
`;

/** What a shell runs at its start; the program itself answers what fits, so this stays as it is after an update. */
const SCRIPTS = {
  bash: BASH,
  zsh: `autoload -U +X compinit bashcompinit && compinit && bashcompinit\n${BASH}`,
  fish: `complete -c booster -a '(booster __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'\n`,
};

/** `booster completion` */
export const command = defineCommand({
  details: "Prints what a shell runs at its start, so that the Tab key completes commands, flags and names of choices.",
  examples: [
    `echo 'source <(booster completion bash)' >> ~/.bashrc  # bash, from the next terminal on`,
    `echo 'source <(booster completion zsh)' >> ~/.zshrc  # zsh`,
    "booster completion fish > ~/.config/fish/completions/booster.fish  # fish",
  ],
  options: z.strictObject({ shell: z.enum(["bash", "zsh", "fish"]).describe("Shell") }),
  positional: ["shell"],
  run: async ({ shell }) => void process.stdout.write(SCRIPTS[shell]),
});
