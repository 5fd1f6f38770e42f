/** The runtime of `interleave`: takes one step at a time, and asks before each what is to happen. */
import type { Chooser } from "../coordinator/scheduler/run-queue.ts";
import type { Task } from "../coordinator/task/task.ts";
import { allTasks } from "../coordinator/task/walk.ts";
import { allBlocked } from "./all-blocked.ts";
import { checkTree } from "./checks.ts";
import type { Choices } from "./choices.ts";
import { Fingerprint, mixed } from "./fingerprint.ts";
import type { Verifier } from "./verifier.ts";
import { VirtualRuntime } from "./virtual.ts";

/** Longer stories are told from the end: they mostly go round in circles. */
const WORDS_MAX = 100;

/** What a task of the program has come to. */
interface Script {
  readonly name: string;
  /** Operations it has begun. */
  begun: number;
  /** Variables of generators that no fingerprint can look into decide how it goes on. */
  hidden: boolean;
}

/** What may happen in a run, beside steps. */
export interface Limits {
  readonly kills: number;
  readonly clock: boolean;
  readonly preemptions: number;
}

export class InterleavedRuntime extends VirtualRuntime implements Chooser {
  /** Kills that the schedule has made so far. */
  kills = 0;
  private exploring = false;
  /** Who took the last step. */
  private last: Task | null = null;
  /** The same, until it has been looked at. */
  private stepped: Task | null = null;
  private preemptions = 0;
  private readonly words: string[] = [];
  /** The tasks of the program: their names, and how many of its operations each has begun. */
  private readonly scripts = new Map<Task, Script>();
  /** For each live task what stands for the variables that cannot be looked into: what it can have seen. */
  private readonly pasts = new Map<Task, string>();
  /** The state before the last step, and the same with what is in variables. */
  private before = "";
  private beforeAll = "";
  private readonly choices: Choices;
  private readonly limits: Limits;
  private readonly verifier: Verifier | null;

  constructor(choices: Choices, limits: Limits, verifier: Verifier | null) {
    super({ seed: null });
    this.choices = choices;
    this.limits = limits;
    this.verifier = verifier;
    this.cooperator.batchSteps = 1;
  }

  protected override chooser(): Chooser {
    return this;
  }

  /** @internal A task of the program. */
  watch(task: Task, name: string, hidden: boolean): void {
    this.scripts.set(task, { name, begun: 0, hidden });
  }

  /** @internal The running task begins one more of its operations. */
  begins(task: Task): void {
    const script = this.scripts.get(task)!;
    script.begun++;
    this.words[this.words.length - 1] = `${script.name}${script.begun}`;
  }

  /** @internal From here on the running task is inside a generator of somebody else, or no longer. */
  hides(task: Task, hidden: boolean): void {
    this.scripts.get(task)!.hidden = hidden;
  }

  /** @internal Operations of the task that have begun. */
  begun(task: Task): number {
    return this.scripts.get(task)!.begun;
  }

  /** What has happened, in the words of `ScheduleError.trace`. */
  get story(): string {
    const { words } = this;
    return words.length <= WORDS_MAX ? words.join(" ") : `… ${words.slice(-WORDS_MAX).join(" ")}`;
  }

  /**
   * @internal Runs until nothing can happen any more; calls `look` between any two steps, but for those that the run
   * before has taken in the same way. `state` gives what decides how the program goes on; null when that is not known.
   *
   * @returns false when it has come to a state from which all has been seen.
   */
  explore(stepsMax: number, look: () => void, state: (() => unknown) | null): boolean {
    this.exploring = true;
    for (let points = 0; ; points++) {
      if (points === stepsMax) throw new Error(`more than ${stepsMax} steps: the run does not end`);
      const repeated = this.choices.repeated();
      const live = repeated === null ? checkTree(this) : allTasks(this.cooperator.tasks());
      if (repeated === null && points > 0) look();
      if (state !== null) {
        this.remember(live);
        const now = repeated ?? this.fingerprint(live, state);
        if (this.verifier !== null) this.verifier.reached(now.key, points === 0);
        else if (repeated === null && !this.choices.mark(now.state, now.key)) return false;
        this.before = now.state;
        this.beforeAll = now.key;
      }
      if (!this.happen(live)) break;
    }
    this.exploring = false;
    this.verifier?.chose(0, 0);
    return true;
  }

  /** @internal A text that two points of two runs have in common only if they go on in the same way. */
  fingerprint(live: readonly Task[], state: () => unknown): { readonly state: string; readonly key: string } {
    const { limits, last, pasts } = this;
    const fingerprint = new Fingerprint();
    fingerprint.add(state());
    fingerprint.add([...this.scripts]);
    fingerprint.add(this.cooperator.root);
    const places = new Map<Task, number>();
    fingerprint.add(this.cooperator.schedule(places));
    fingerprint.add(live.map((task) => places.get(task)));
    fingerprint.add(this.timers.armed());
    fingerprint.add([this.now, this.kills]);
    fingerprint.add(this.reports.map(({ kind, task, error }) => [kind, task, error]));
    if (limits.preemptions !== Number.POSITIVE_INFINITY) fingerprint.add([last, this.preemptions]);
    const shared = fingerprint.key;
    for (const task of fingerprint.tasks) if (!task.ended) fingerprint.add(pasts.get(task));
    return { state: shared, key: fingerprint.key };
  }

  /** What the last step may have left in variables: nothing, or what follows from what the task has seen in it. */
  private remember(live: readonly Task[]): void {
    const { stepped, pasts } = this;
    if (stepped !== null) {
      const past = pasts.get(stepped)!;
      pasts.set(stepped, this.scripts.get(stepped)?.hidden === false ? "" : mixed(past, this.before));
      this.stepped = null;
    }
    for (const [i, task] of live.entries()) {
      if (pasts.has(task)) continue;
      const born = this.scripts.has(task) ? "" : mixed(this.beforeAll, this.words.at(-1)!, String(i));
      pasts.set(task, born);
    }
  }

  /** Who takes the next step. To go on with the task that has just run comes first. */
  choose(candidates: readonly Task[]): Task {
    const oldest = candidates[0]!;
    if (!this.exploring) return oldest;
    const { last } = this;
    let chosen = oldest;
    if (last === null || !candidates.includes(last)) {
      if (candidates.length > 1) chosen = candidates[this.choices.choose(candidates.length)]!;
    } else if (candidates.length === 1 || this.preemptions >= this.limits.preemptions) chosen = last;
    else {
      const others = candidates.filter((task) => task !== last);
      const choice = this.choices.choose(candidates.length);
      chosen = choice === 0 ? last : others[choice - 1]!;
      if (chosen !== last) this.preemptions++;
    }
    this.last = this.stepped = chosen;
    // By its place in the tree: the order of the queue is no part of the state.
    this.verifier?.chose(candidates.length, allTasks(this.cooperator.tasks()).indexOf(chosen));
    this.words.push(this.word(chosen));
    return chosen;
  }

  /** One step, kill or jump of the clock. False when there is nothing left that could happen. */
  private happen(live: readonly Task[]): boolean {
    const ready = this.statistics().ready > 0;
    if (!ready && allBlocked(this.cooperator)) return true;
    const timed = this.timers.next !== Number.POSITIVE_INFINITY;
    const mayKill = this.kills < this.limits.kills;
    const jumps = ready && timed && this.limits.clock ? 1 : 0;
    const ways = 1 + jumps + (mayKill ? live.length : 0);
    const way = ways === 1 ? 0 : this.choices.choose(ways);
    this.verifier?.chose(ways, way);
    if (way > jumps) {
      const victim = live[way - jumps - 1]!;
      this.kills++;
      this.words.push(`kill ${this.scripts.get(victim)?.name ?? victim.label}`);
      victim.kill("killed by the schedule");
      return true;
    }
    if (way > 0 || (!ready && timed)) {
      this.words.push("clock");
      this.jump();
      this.timers.expire();
    } else if (ready) this.turn();
    else return this.cutCleanups();
    return true;
  }

  private word(task: Task): string {
    const script = this.scripts.get(task);
    if (script === undefined) return task.label;
    return script.begun === 0 ? script.name : `${script.name}${script.begun}+`;
  }
}
