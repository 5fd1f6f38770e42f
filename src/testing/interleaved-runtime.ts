/** The runtime of `interleave`: takes one step at a time, and asks before each what is to happen. */
import type { Chooser } from "../coordinator/scheduler/run-queue.ts";
import type { Task } from "../coordinator/task/task.ts";
import { allBlocked } from "./all-blocked.ts";
import { checkTree } from "./checks.ts";
import type { Choices } from "./choices.ts";
import { VirtualRuntime } from "./virtual.ts";

/** Longer stories are told from the end: they mostly go round in circles. */
const WORDS_MAX = 100;

export class InterleavedRuntime extends VirtualRuntime implements Chooser {
  /** Kills that the schedule has made so far. */
  kills = 0;
  private exploring = false;
  /** Who took the last step. */
  private last: Task | null = null;
  private preemptions = 0;
  private readonly words: string[] = [];
  /** The tasks of the program: their names, and how many of its operations each has begun. */
  private readonly scripts = new Map<Task, { readonly name: string; begun: number }>();
  private readonly choices: Choices;
  private readonly killsMax: number;
  private readonly clockActs: boolean;
  private readonly preemptionsMax: number;

  constructor(choices: Choices, killsMax: number, clock: boolean, preemptionsMax: number) {
    super({ seed: null });
    this.choices = choices;
    this.killsMax = killsMax;
    this.clockActs = clock;
    this.preemptionsMax = preemptionsMax;
    this.cooperator.batchSteps = 1;
  }

  protected override chooser(): Chooser {
    return this;
  }

  /** @internal A task of the program. */
  watch(task: Task, name: string): void {
    this.scripts.set(task, { name, begun: 0 });
  }

  /** @internal The running task begins one more of its operations. */
  begins(task: Task): void {
    const script = this.scripts.get(task)!;
    script.begun++;
    this.words[this.words.length - 1] = `${script.name}${script.begun}`;
  }

  /** What has happened, in the words of `ScheduleError.trace`. */
  get story(): string {
    const { words } = this;
    return words.length <= WORDS_MAX ? words.join(" ") : `… ${words.slice(-WORDS_MAX).join(" ")}`;
  }

  /** @internal Runs until nothing can happen any more; calls `look` between any two steps. */
  explore(stepsMax: number, look: () => void): void {
    this.exploring = true;
    for (let points = 0; this.happen(); points++) {
      if (points === stepsMax) throw new Error(`more than ${stepsMax} steps: the run does not end`);
      look();
    }
    this.exploring = false;
  }

  /** Who takes the next step. To go on with the task that has just run comes first. */
  choose(candidates: readonly Task[]): Task {
    const oldest = candidates[0]!;
    if (!this.exploring) return oldest;
    const { last } = this;
    let chosen = oldest;
    if (last === null || !candidates.includes(last)) {
      if (candidates.length > 1) chosen = candidates[this.choices.choose(candidates.length)]!;
    } else if (candidates.length === 1 || this.preemptions >= this.preemptionsMax) chosen = last;
    else {
      const others = candidates.filter((task) => task !== last);
      const choice = this.choices.choose(candidates.length);
      chosen = choice === 0 ? last : others[choice - 1]!;
      if (chosen !== last) this.preemptions++;
    }
    this.last = chosen;
    this.words.push(this.word(chosen));
    return chosen;
  }

  /** One step, kill or jump of the clock. False when there is nothing left that could happen. */
  private happen(): boolean {
    const live = checkTree(this);
    const ready = this.statistics().ready > 0;
    if (!ready && allBlocked(this.cooperator)) return true;
    const timed = this.timers.next !== Number.POSITIVE_INFINITY;
    const mayKill = this.kills < this.killsMax;
    const jumps = ready && timed && this.clockActs ? 1 : 0;
    const ways = 1 + jumps + (mayKill ? live.length : 0);
    const way = ways === 1 ? 0 : this.choices.choose(ways);
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
