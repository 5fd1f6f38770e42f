/** The live task tree, short enough to look at: leaves that do the same thing share a line. */

interface Node {
  readonly name: string;
  /** What it does, without the numbers that tell one socket from another. */
  readonly doing: string;
  readonly children: Node[];
}

const LINE = /^( *)(.*)#\d+( \(killed\))?: (.*)$/;

/** Folds the text of `dumpTree`. */
export function foldTree(dump: string): string[] {
  const roots: Node[] = [];
  const path: Node[] = [];
  for (const line of dump.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, indent, name, killed, description] = match;
    const depth = indent!.length / 2;
    const doing = description!
      .replace(/(socket|file) \d+( \([^)]*\))?/, "$1")
      .replace(/^(end of )\d+ /, "$1")
      .replace(/#\d+/g, "");
    const node: Node = {
      name: name!,
      doing: killed === undefined ? doing : `KILLED, ${doing}`,
      children: [],
    };
    path.length = depth;
    (depth === 0 ? roots : path[depth - 1]!.children).push(node);
    path.push(node);
  }
  const lines: string[] = [];
  for (const root of roots) render(root, "", "", lines);
  return lines;
}

function render(node: Node, head: string, tail: string, into: string[]): void {
  into.push(`${head}${node.name}: ${node.doing}`);
  const rows = fold(node.children);
  rows.forEach(({ node: child, count }, i) => {
    const last = i === rows.length - 1;
    const name = count === 1 ? child.name : `${count} × ${child.name}`;
    render({ ...child, name }, `${tail}${last ? "└─ " : "├─ "}`, `${tail}${last ? "   " : "│  "}`, into);
  });
}

function fold(nodes: readonly Node[]): { node: Node; count: number }[] {
  const rows = new Map<string, { node: Node; count: number }>();
  nodes.forEach((node, i) => {
    const key = node.children.length > 0 ? String(i) : `${node.name}: ${node.doing}`;
    const row = rows.get(key);
    if (row === undefined) rows.set(key, { node, count: 1 });
    else row.count++;
  });
  return [...rows.values()];
}
