/**
 * Walks every path through a tree of choices, depth first, without knowing the tree: a run asks `choose` at
 * each fork, and the next run takes the next branch of the deepest fork that has one left.
 */

export class Choices {
  /** The branch taken at each fork of this run. */
  private taken: number[];
  /** Branches there are at each fork. */
  private widths: number[] = [];
  private at = 0;

  /** `from`: the first forks take these branches, the rest their first. */
  constructor(from: readonly number[] = []) {
    this.taken = [...from];
  }

  /** Which of `width` branches to take here. */
  choose(width: number): number {
    const at = this.at++;
    if (at === this.taken.length) this.taken.push(0);
    if (at === this.widths.length) this.widths.push(width);
    if (this.widths[at] !== width || this.taken[at]! >= width) {
      throw new Error(
        `fork ${at} had ${this.widths[at]} branches before and now has ${width}: a run must start from fresh ` +
          "state and depend on nothing but its schedule",
      );
    }
    return this.taken[at]!;
  }

  /** Goes on to the next path; false when there is none. */
  next(): boolean {
    const { taken, widths } = this;
    taken.length = widths.length = this.at;
    this.at = 0;
    while (taken.length > 0 && taken.at(-1)! + 1 === widths.at(-1)!) {
      taken.pop();
      widths.pop();
    }
    if (taken.length === 0) return false;
    taken[taken.length - 1]!++;
    // What lies behind the new branch is another part of the tree.
    widths.length = taken.length;
    return true;
  }

  /** The path of this run, for `parse`; first branches at its end are left out. */
  toString(): string {
    const path = this.taken.slice(0, this.at);
    while (path.at(-1) === 0) path.pop();
    return path.length === 0 ? "0" : path.join(".");
  }

  static parse(path: string): Choices {
    const branches = path.split(".").map(Number);
    if (!branches.every((branch) => Number.isInteger(branch) && branch >= 0)) {
      throw new TypeError(`"${path}" is no schedule: it looks like "0.2.1"`);
    }
    return new Choices(branches);
  }
}
