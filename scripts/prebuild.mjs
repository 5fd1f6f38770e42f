// Copies the addon that was just built to where the package ships it, for the system it was built on.
import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const directory = `${root}prebuilds/${process.platform}-${process.arch}`;

if (process.platform === "linux") {
  mkdirSync(directory, { recursive: true });
  try {
    copyFileSync(`${root}build/Release/cooperator.node`, `${directory}/cooperator.node`);
  } catch (error) {
    console.error("prebuild: no build/Release/cooperator.node; run `npm run build:native` first");
    throw error;
  }
}
