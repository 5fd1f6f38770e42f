/**
 * Watches the schedules of a program one by one, and compares: from the same state the same choices lead to the same
 * states. Where they do not, the state that the program gives leaves out something that decides.
 */
export class Verifier {
  /** What has followed a state and the choices made in it. */
  private readonly followed = new Map<string, string>();
  private from = "";

  /** The run has come to a state; its first has followed nothing. */
  reached(key: string, first: boolean): void {
    if (!first) this.follows(`state ${key}`);
    this.from = key;
  }

  /** One of `width` things that could happen does; `branch` says which. */
  chose(width: number, branch: number): void {
    this.follows(`${width} branches`);
    this.from += ` ${branch}`;
  }

  private follows(what: string): void {
    const before = this.followed.get(this.from);
    if (before === undefined) this.followed.set(this.from, what);
    else if (before !== what) {
      throw new Error(
        `the same state was followed by ${before}, and now by ${what}: state() leaves out something that decides`,
      );
    }
  }
}
