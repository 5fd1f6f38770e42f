/** Every entry point can be the first that a program imports: modules that need each other come in any order. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
  exports: Record<string, string | { readonly default: string }>;
};
const entries = Object.entries(exports).flatMap(([name, target]) =>
  typeof target === "string" ? [] : [[name, new URL(target.default, root).href] as const],
);

/** What a program prints that imports nothing else. */
function firstImport(href: string): Promise<string> {
  const program = `import(${JSON.stringify(href)}).then(() => console.log("loaded"), (error) => console.log(String(error)))`;
  return new Promise((resolve) => {
    execFile(process.execPath, ["-e", program], (_error, stdout, stderr) => resolve(stdout.trim() + stderr));
  });
}

test("the manifest names entry points", () => expect(entries.length).toBeGreaterThan(8));

test.each(entries)(
  "%s can be imported first",
  async (_name, href) => {
    expect(await firstImport(href)).toBe("loaded");
  },
  20_000,
);
