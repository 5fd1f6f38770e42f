/**
 * Walks every path through a tree of choices, depth first, without knowing the tree: a run asks `choose` at
 * each fork, and the next run takes the next branch of the deepest fork that has one left.
 *
 * A run may also say, by a key, in which state it is. Where a state has been left for good before, all that can
 * follow has been seen: the run ends there, and the paths that begin there are counted and not walked again.
 */

/** A state on the path of this run: what comes next is fork `fork`, if there is one. */
interface Mark {
  readonly fork: number;
  readonly state: string;
  readonly key: string;
}

export class Choices {
  /** The branch taken at each fork of this run. */
  private readonly taken: number[];
  /** Branches there are at each fork. */
  private readonly widths: number[] = [];
  /** Paths through the branches of each fork that are done with. */
  private readonly paths: number[] = [];
  private at = 0;
  private readonly marks: Mark[] = [];
  private marked = 0;
  /** Paths from the states that are done with. */
  private readonly known = new Map<string, number>();
  /** Paths that this run stands for. */
  private ahead = 1;
  /** Paths from the beginning, once `next` has given false. */
  total = 0;

  /** `from`: the first forks take these branches, the rest their first. */
  constructor(from: readonly number[] = []) {
    this.taken = [...from];
  }

  /** Which of `width` branches to take here. */
  choose(width: number): number {
    const at = this.at++;
    if (at === this.taken.length) this.taken.push(0);
    if (at === this.widths.length) {
      this.widths.push(width);
      this.paths.push(0);
    }
    if (this.widths[at] !== width || this.taken[at]! >= width) {
      throw new Error(
        `fork ${at} had ${this.widths[at]} branches before and now has ${width}: a run must start from fresh ` +
          "state and depend on nothing but its schedule",
      );
    }
    return this.taken[at]!;
  }

  /** The state that the run before this one was in here, as long as this one repeats it; then null. */
  repeated(): Mark | null {
    return this.marked < this.marks.length ? this.marks[this.marked++]! : null;
  }

  /** The run is in a state; false when all that can follow is known, and the run is over. */
  mark(state: string, key: string): boolean {
    const known = this.known.get(key);
    if (known !== undefined) {
      this.ahead = known;
      return false;
    }
    this.marks.push({ fork: this.at, state, key });
    this.marked++;
    return true;
  }

  /** Goes on to the next path; false when there is none. */
  next(): boolean {
    const { taken, widths, paths } = this;
    let from = this.ahead;
    taken.length = widths.length = paths.length = this.at;
    this.at = this.marked = 0;
    this.ahead = 1;
    for (;;) {
      const fork = taken.length - 1;
      this.leave(fork + 1, from);
      if (fork < 0) break;
      paths[fork]! += from;
      if (taken[fork]! + 1 < widths[fork]!) {
        taken[fork]!++;
        return true;
      }
      from = paths[fork]!;
      taken.pop();
      widths.pop();
      paths.pop();
    }
    this.total = from;
    return false;
  }

  /** All that can follow the states before fork `fork` has been seen: `paths` paths. */
  private leave(fork: number, paths: number): void {
    const { marks } = this;
    while (marks.length > 0 && marks.at(-1)!.fork === fork) this.known.set(marks.pop()!.key, paths);
  }

  /** The path of this run, for `parse`; first branches at its end are left out. */
  toString(): string {
    const path = this.taken.slice(0, this.at);
    while (path.at(-1) === 0) path.pop();
    return path.length === 0 ? "0" : path.join(".");
  }

  static parse(path: string): Choices {
    const branches = String(path).split(".").map(Number);
    if (typeof path !== "string" || !branches.every((branch) => Number.isInteger(branch) && branch >= 0)) {
      throw new TypeError(`"${path}" is no schedule: it looks like "0.2.1"`);
    }
    return new Choices(branches);
  }
}
