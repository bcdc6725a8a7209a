import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { compileProgram } from "../crash/compile.ts";

/** Debian's `chromium` brings SwiftShader, a Vulkan that computes on the CPU. */
const DRIVER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** The environment in which a program finds the software driver; undefined, with the reason printed, where there is none. */
export function withDriver(): NodeJS.ProcessEnv | undefined {
  if (existsSync(DRIVER)) {
    return { ...process.env, VK_ICD_FILENAMES: DRIVER, XDG_RUNTIME_DIR: "/tmp", LD_LIBRARY_PATH: "/usr/lib/chromium" };
  }
  console.log(`skipped: ${DRIVER} is absent (Debian: apt install chromium)`);
  return undefined;
}

/** What a program prints as its last line, in JSON. */
export function reportOf<Report>(entry: string, env: NodeJS.ProcessEnv | undefined): Report {
  const { path } = compileProgram(entry);
  const printed = execFileSync(process.execPath, [path], {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(printed.trimEnd().split("\n").at(-1) as string);
}
