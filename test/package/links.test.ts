/** The documentation as it is read: every link leads somewhere, and every public name is found in it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file));

const pages = [...pagesIn("."), ...pagesIn("docs"), ...pagesIn("docs/design")];
const read = (page: string): string => readFileSync(join(root, page), "utf8");
const withoutPrograms = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "");

/** The anchors of a page's headings, as they are made where the repository is shown. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of withoutPrograms(text).matchAll(/^#+ +(.+)$/gm)) {
    const base = heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-");
    let anchor = base;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${base}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

function deadLinks(page: string): string[] {
  const dead: string[] = [];
  for (const [, target] of withoutPrograms(read(page)).matchAll(/\]\(<?([^)\s>]+)>?\)/g)) {
    if (/^[a-z]+:/.test(target!)) continue;
    const [path, anchor] = target!.split("#") as [string, string?];
    const file = path === "" ? page : relative(root, join(root, dirname(page), path));
    if (!existsSync(join(root, file))) dead.push(target!);
    else if (anchor !== undefined && !anchorsOf(read(file)).has(anchor)) dead.push(target!);
  }
  return dead;
}

test.each(pages)("the links of %s lead somewhere", (page) => {
  expect(deadLinks(page)).toEqual([]);
});

test("every public name is in some page", () => {
  const surface = readFileSync(join(root, "test/package/__snapshots__/surface.test.ts.snap"), "utf8");
  const documented = ["README.md", ...pagesIn("docs").filter((page) => !page.endsWith("conformance.md"))];
  // In code, where a name is meant: some are everyday words too.
  const code = documented.flatMap((page) => read(page).match(/```[\s\S]*?```|`[^`\n]+`/g) ?? []);
  const words = new Set(code.join("\n").match(/\w+/g));
  const names = new Set([...surface.matchAll(/^ {2}"(\w+)",$/gm)].map(([, name]) => name!));
  expect(names.size).toBeGreaterThan(100);
  expect([...names].filter((name) => !words.has(name))).toEqual([]);
});
