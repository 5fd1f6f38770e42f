/** Conformance, section H: the wait primitive and its intrusive lists. */
import { describe, expect, test } from "vitest";
import {
  BrokenError,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  Embedded,
  EmbeddedList,
  HIGH,
  LOW,
  never,
  Signal,
  self,
  shield,
  spawn,
  type Task,
  UsageError,
  Wait,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { killEverywhere, type Program } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { type Timed, type TimerQueue, timerQueueOf } from "../../src/time/timer-queue.ts";
import { checked, inOrder, runChecked } from "../support/harness.ts";

/** Runs `body` on `rt`; throws what it throws. */
function runOn<A>(rt: VirtualRuntime, body: () => Generator<unknown, A, any>): A {
  return rt.run(body).result;
}

/** Every kill at every point, and that the program has not shrunk to nothing. */
function everywhere(program: () => Program, runsAtLeast: number): void {
  const { runs, reach } = killEverywhere(program);
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThanOrEqual(runsAtLeast);
}

/** Spawns a task per name that acquires `gate`, says so, and lives on to keep it. */
function takers(gate: Coordinator, names: readonly string[], log: string[]): Task[] {
  return names.map((name) =>
    spawn(
      function* () {
        yield* gate.acquire();
        log.push(name);
        yield* never();
      },
      { name },
    ),
  );
}

test("H01 three waiters: one release wakes the oldest, a notification wakes all, each once", () => {
  inOrder();
  const gate = new Coordinator({ held: true });
  const signal = new Signal();
  const log: string[] = [];
  runChecked(
    function* () {
      const tasks = takers(gate, ["a", "b", "c"], log);
      yield* yieldNow();
      expect(gate.waiting).toBe(3);
      gate.release();
      expect(gate.waiting).toBe(2);
      expect(gate.owner).toBe(tasks[0]);
      expect(log).toEqual([]);
      yield* yieldNow();
      expect(log).toEqual(["a"]);
      gate.release();
      expect(gate.waiting).toBe(1);
      gate.release();
      expect(gate.waiting).toBe(0);
      expect(gate.held).toBe(true);
      yield* yieldNow();
      expect(log).toEqual(["a", "b", "c"]);

      log.length = 0;
      for (const name of ["x", "y", "z"]) {
        spawn(function* () {
          yield* signal.wait();
          log.push(name);
        });
      }
      yield* yieldNow();
      expect(signal.waiting).toBe(3);
      signal.notify();
      expect(signal.waiting).toBe(0);
      signal.notify();
      yield* yieldNow();
      yield* yieldNow();
      expect(log).toEqual(["x", "y", "z"]);
    },
    gate,
    signal,
  );
});

describe("H02 the middle one of three waiters is killed", () => {
  test("H02 it leaves at once, and only the others are woken", () => {
    inOrder();
    const gate = new Coordinator({ held: true });
    const signal = new Signal();
    const log: string[] = [];
    runChecked(
      function* () {
        const [, b] = takers(gate, ["a", "b", "c"], log);
        yield* yieldNow();
        b!.kill("stop");
        expect(gate.waiting).toBe(2);
        gate.waiters.validate();
        gate.release();
        yield* yieldNow();
        gate.release();
        yield* yieldNow();
        expect(log).toEqual(["a", "c"]);
        expect(b!.exit!.status).toBe("killed");
        expect(gate.owner?.name).toBe("c");

        const waiters = [0, 1, 2].map((i) =>
          spawn(function* () {
            yield* signal.wait();
            log.push(`signal ${i}`);
          }),
        );
        yield* yieldNow();
        waiters[1]!.kill("stop");
        expect(signal.waiting).toBe(2);
        signal.notify();
        yield* yieldNow();
        expect(log.slice(2)).toEqual(["signal 0", "signal 2"]);
      },
      gate,
      signal,
    );
  });

  test("H02 wherever a kill strikes, the gate goes to somebody who lives, or is free", () => {
    everywhere(() => {
      const gate = new Coordinator();
      let inside = 0;
      return {
        gates: [gate],
        body: function* () {
          for (let i = 0; i < 3; i++) {
            spawn(function* () {
              yield* gate.acquire();
              try {
                expect(++inside).toBe(1);
                yield* sleep(1);
              } finally {
                inside--;
                gate.release();
              }
            });
          }
          yield* sleep(10);
        },
        check: () => {
          expect(inside).toBe(0);
          expect(gate.held).toBe(false);
        },
      };
    }, 20);
  });
});

test("H03 waking when nobody waits: a coordinator is free for the next, a signal passes for ever", () => {
  const gate = new Coordinator({ held: true });
  const signal = new Signal();
  runChecked(
    function* () {
      gate.release();
      expect(gate.held).toBe(false);
      // One release is one permit and not two.
      expect(() => gate.release()).toThrow(expect.objectContaining({ code: "COOP_NOT_HELD" }));
      yield* gate.acquire();
      expect(gate.tryAcquire()).toBe(false);
      gate.release();

      signal.notify();
      yield* signal.wait();
      yield* signal.wait();
    },
    gate,
    signal,
  );
});

class Node extends Embedded {
  readonly name: string;
  constructor(name: string) {
    super();
    this.name = name;
  }
}

function listOf(...names: string[]): { list: EmbeddedList<Node>; nodes: Node[] } {
  const list = new EmbeddedList<Node>();
  const nodes = names.map((name) => new Node(name));
  for (const node of nodes) list.push(node);
  return { list, nodes };
}

function namesOf(list: EmbeddedList<Node>): string {
  list.validate();
  return [...list].map(({ name }) => name).join("");
}

describe("H05 unlinking", () => {
  test.each([
    ["head", 0, "bc"],
    ["middle", 1, "ac"],
    ["tail", 2, "ab"],
  ])("H05 the %s", (_, index, rest) => {
    const { list, nodes } = listOf("a", "b", "c");
    expect(list.remove(nodes[index]!)).toBe(true);
    expect(namesOf(list)).toBe(rest);
    expect(nodes[index]).toMatchObject({ before: null, after: null, list: null });
  });

  test("H05 the only one", () => {
    const { list, nodes } = listOf("a");
    expect(list.remove(nodes[0]!)).toBe(true);
    expect(namesOf(list)).toBe("");
    expect(list.peek()).toBe(null);
    list.push(nodes[0]!);
    expect(namesOf(list)).toBe("a");
  });

  test("H05 twice, or what was never linked, or what is on another list: changes nothing", () => {
    const { list, nodes } = listOf("a", "b");
    const other = listOf("x");
    expect(list.remove(nodes[0]!)).toBe(true);
    expect(list.remove(nodes[0]!)).toBe(false);
    expect(list.remove(new Node("new"))).toBe(false);
    expect(list.remove(other.nodes[0]!)).toBe(false);
    expect(namesOf(list)).toBe("b");
    expect(namesOf(other.list)).toBe("x");
  });

  test("H05 linking what is linked is an error, here and on another list", () => {
    const { list, nodes } = listOf("a", "b");
    const other = listOf("x");
    for (const into of [list, other.list]) {
      expect(() => into.push(nodes[0]!)).toThrow(expect.objectContaining({ code: "COOP_LIST" }));
    }
    expect(namesOf(list)).toBe("ab");
    expect(namesOf(other.list)).toBe("x");
  });

  test("H05 negative control: validate sees a broken link, a broken tail and a broken count", () => {
    for (const damage of [
      (nodes: Node[]) => (nodes[1]!.before = null),
      (nodes: Node[]) => (nodes[1]!.after = null),
      (nodes: Node[]) => (nodes[1]!.list = null),
      (nodes: Node[]) => (nodes[0]!.after = nodes[2]!),
    ]) {
      const { list, nodes } = listOf("a", "b", "c");
      list.validate();
      damage(nodes);
      expect(() => list.validate()).toThrow(/broken/);
    }
  });
});

describe("H06 removing while iterating", () => {
  const walk = (list: EmbeddedList<Node>, at: string, act: () => void): string => {
    let seen = "";
    list.visit((node) => {
      seen += node.name;
      if (node.name === at) act();
      return true;
    });
    list.validate();
    return seen;
  };

  test.each([
    ["the current node", "b", [1], "abcd", "acd"],
    ["the next node", "b", [2], "abd", "abd"],
    ["the node before", "b", [0], "abcd", "bcd"],
    ["a later node", "b", [3], "abc", "abc"],
    ["the head while there", "a", [0], "abcd", "bcd"],
    ["the tail while there", "d", [3], "abcd", "abc"],
    ["the next node, which is the tail", "c", [3], "abc", "abc"],
    ["all but the current and the next", "b", [0, 3], "abc", "bc"],
  ])("H06 %s", (_, at, removed, seen, left) => {
    const { list, nodes } = listOf("a", "b", "c", "d");
    expect(
      walk(list, at, () => {
        for (const index of removed) list.remove(nodes[index]!);
      }),
    ).toBe(seen);
    expect(namesOf(list)).toBe(left);
  });

  test("H06 every node removes itself", () => {
    const { list } = listOf("a", "b", "c");
    list.visit((node) => list.remove(node));
    expect(list.length).toBe(0);
    list.validate();
  });

  test("H06 stops early when told", () => {
    const { list } = listOf("a", "b", "c");
    let seen = 0;
    list.visit(() => ++seen < 2);
    expect(seen).toBe(2);
  });
});

describe("H07 moving waiters", () => {
  test("H07 a moved waiter that is killed leaves the new list; the old one is untouched", () => {
    inOrder();
    const from = new Coordinator({ held: true, name: "from" });
    const to = new Coordinator({ held: true, name: "to" });
    const log: string[] = [];
    runChecked(
      function* () {
        const [, b] = takers(from, ["a", "b", "c", "d"], log);
        yield* yieldNow();
        expect(from.moveWaiters(to, 3)).toBe(3);
        expect([from.waiting, to.waiting]).toEqual([1, 3]);
        b!.kill("stop");
        expect([from.waiting, to.waiting]).toEqual([1, 2]);
        from.waiters.validate();
        to.waiters.validate();
        from.release();
        to.release();
        yield* yieldNow();
        to.release();
        yield* yieldNow();
        expect(log).toEqual(["d", "a", "c"]);
        expect([from.owner?.name, to.owner?.name]).toEqual(["d", "c"]);
      },
      from,
      to,
    );
  });

  test("H07 into a free coordinator: the oldest gets it", () => {
    inOrder();
    const from = new Coordinator({ held: true });
    const to = new Coordinator();
    const log: string[] = [];
    runChecked(
      function* () {
        takers(from, ["a", "b"], log);
        yield* yieldNow();
        expect(from.moveWaiters(to)).toBe(2);
        expect(to.owner?.name).toBe("a");
        expect([from.waiting, to.waiting]).toEqual([0, 1]);
        yield* yieldNow();
        to.release();
        yield* yieldNow();
        expect(log).toEqual(["a", "b"]);
      },
      from,
      to,
    );
  });

  test("H07 a link of a wait for several moves, too, and its result names where it was satisfied", () => {
    const from = new Coordinator({ held: true });
    const other = new Coordinator({ held: true });
    const to = new Coordinator({ held: true });
    runChecked(
      function* () {
        const task = spawn(function* () {
          const result = yield* coordinateWith(other, from);
          return [result.index, result.coordinator] as const;
        });
        yield* yieldNow();
        from.moveWaiters(to);
        to.release();
        const [index, coordinator] = yield* task.join();
        expect(index).toBe(1);
        expect(coordinator).toBe(to);
        expect(other.waiting).toBe(0);
      },
      from,
      other,
      to,
    );
  });

  test("H07 onto itself, none, and more than there are", () => {
    inOrder();
    const gate = new Coordinator({ held: true });
    const to = new Coordinator({ held: true });
    const log: string[] = [];
    runChecked(
      function* () {
        takers(gate, ["a", "b"], log);
        yield* yieldNow();
        expect(gate.moveWaiters(gate)).toBe(2);
        expect(gate.moveWaiters(to, 0)).toBe(0);
        expect(gate.waiting).toBe(2);
        gate.release();
        yield* yieldNow();
        gate.release();
        yield* yieldNow();
        expect(log).toEqual(["a", "b"]);
        expect(gate.moveWaiters(to, 5)).toBe(0);
      },
      gate,
      to,
    );
  });

  test("H07 to a coordinator whose owner has ended: a typed error, never a hang", () => {
    const from = new Coordinator({ held: true });
    const to = new Coordinator({ name: "journal" });
    runChecked(function* () {
      yield* spawn(
        function* () {
          to.tryAcquire();
        },
        { name: "owner" },
      ).join();
      const waiter = spawn(
        function* () {
          yield* from.acquire();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      from.moveWaiters(to);
      const exit = yield* waiter.settled();
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_OWNER_ENDED" } });
    }, from);
  });
});

describe("H08 one task waits for k coordinators and one fires", () => {
  const K = 7;

  test.each([coordinateWith, coordinateWithKill])(
    "H08 losers are unlinked before the task runs (%s)",
    (wait) => {
      for (let winner = 0; winner < K; winner++) {
        const gates = Array.from({ length: K }, () => new Coordinator({ held: true }));
        runChecked(
          function* () {
            const task = spawn(function* () {
              const result = yield* wait(...gates);
              expect(gates.map((gate) => gate.waiting)).toEqual(gates.map(() => 0));
              expect(result.index).toBe(winner);
              expect(result.coordinator).toBe(gates[winner]);
              expect(gates[winner]!.owner).toBe(self());
            });
            yield* yieldNow();
            expect(gates.map((gate) => gate.waiting)).toEqual(gates.map(() => 1));
            gates[winner]!.release();
            yield* task.join();
          },
          ...gates,
        );
      }
    },
  );

  test("H08 and none leaks a node, wherever a kill strikes", () => {
    everywhere(() => {
      const gates = Array.from({ length: 3 }, (_, i) => new Coordinator({ held: true, name: `gate ${i}` }));
      const signal = new Signal();
      return {
        gates: [...gates, signal],
        body: function* () {
          for (const wait of [coordinateWith, coordinateWithKill]) {
            spawn(function* () {
              yield* wait(...gates, signal, { within: 5 });
            });
          }
          yield* sleep(1);
          gates[1]!.release();
          yield* sleep(1);
          signal.notify();
        },
      };
    }, 15);
  });
});

describe("H09 two of the k fire in the same turn", () => {
  test("H09 the leftmost wins, and the loser goes to its next waiter", () => {
    const a = new Coordinator({ held: true, name: "a" });
    const b = new Coordinator({ held: true, name: "b" });
    const log: string[] = [];
    runChecked(
      function* () {
        const both = spawn(function* () {
          return (yield* coordinateWith(a, b)).index;
        });
        yield* yieldNow();
        takers(b, ["next of b"], log);
        yield* yieldNow();
        // The right one fires first; the left one is there before the task runs.
        b.release();
        a.release();
        expect(yield* both.join()).toBe(0);
        yield* yieldNow();
        expect(log).toEqual(["next of b"]);
        expect(b.owner?.name).toBe("next of b");
      },
      a,
      b,
    );
  });

  test("H09 the loser stays available when nobody else waits", () => {
    const a = new Coordinator({ held: true });
    const b = new Coordinator({ held: true });
    runChecked(
      function* () {
        const both = spawn(function* () {
          return (yield* coordinateWith(a, b)).index;
        });
        yield* yieldNow();
        b.release();
        a.release();
        yield* both.join();
        expect(b.held).toBe(false);
        expect(b.tryAcquire()).toBe(true);
      },
      a,
      b,
    );
  });

  test("H09 wherever a kill strikes, nothing is lost", () => {
    everywhere(() => {
      const a = new Coordinator({ name: "a" });
      const b = new Coordinator({ name: "b" });
      let inside = 0;
      return {
        gates: [a, b],
        body: function* () {
          a.tryAcquire();
          b.tryAcquire();
          try {
            for (let i = 0; i < 3; i++) {
              spawn(function* () {
                const { coordinator, killed } = yield* coordinateWithKill(a, b);
                if (killed) return;
                try {
                  inside++;
                  yield* yieldNow();
                } finally {
                  inside--;
                  (coordinator as Coordinator).release();
                }
              });
            }
            yield* yieldNow();
          } finally {
            b.release();
            a.release();
          }
          yield* sleep(5);
        },
        check: () => {
          expect(inside).toBe(0);
          expect([a.held, b.held]).toEqual([false, false]);
        },
      };
    }, 20);
  });
});

/** A queue of the test's own: one waiter at a time is answered with a value or an error. */
class Reply extends Wait<string> {
  private readonly queue: Reply[];
  private answer: { value: string } | { error: unknown } | null = null;
  constructor(queue: Reply[]) {
    super();
    this.queue = queue;
  }
  override describe(): string {
    return "a reply";
  }
  protected override begin(): boolean {
    this.answer = null;
    this.queue.push(this);
    return false;
  }
  protected override finish(): string {
    const { answer } = this;
    if (answer === null) throw new Error("woken without an answer");
    if ("error" in answer) throw answer.error;
    return answer.value;
  }
  override abort(): boolean {
    const index = this.queue.indexOf(this);
    if (index !== -1) this.queue.splice(index, 1);
    return true;
  }
  reply(answer: { value: string } | { error: unknown }): void {
    this.queue.splice(this.queue.indexOf(this), 1);
    this.answer = answer;
    this.grant();
  }
}

test("H10 a waiter that is woken with an error gets it where it waits; the others do not", () => {
  inOrder();
  const queue: Reply[] = [];
  const error = new Error("for b");
  runChecked(function* () {
    const tasks = [0, 1, 2].map(() =>
      spawn(function* () {
        try {
          return yield* new Reply(queue);
        } catch (caught) {
          expect(caught).toBe(error);
          yield* yieldNow();
          return "caught";
        }
      }),
    );
    yield* yieldNow();
    queue[1]!.reply({ error });
    expect(yield* tasks[1]!.join()).toBe("caught");
    expect(queue).toHaveLength(2);
    for (const waiting of [...queue]) waiting.reply({ value: "fine" });
    expect([yield* tasks[0]!.join(), yield* tasks[2]!.join()]).toEqual(["fine", "fine"]);
  });
});

describe("H11 the owner of a coordinator ends while others wait for it", () => {
  test("H11 all get a typed error that names it, and so do those who come later", () => {
    const gate = new Coordinator({ name: "journal" });
    const free = new Coordinator({ held: true });
    runChecked(
      function* () {
        const owner = spawn(
          function* () {
            yield* gate.acquire();
            yield* sleep(1);
          },
          { name: "writer" },
        );
        yield* yieldNow();
        const outcomes: unknown[] = [];
        const waits = [
          () => gate.acquire(),
          () => gate.flash(),
          () => coordinateWith(free, gate),
          () => coordinateWithKill(gate, free),
        ];
        const waiters = waits.map((wait) =>
          spawn(function* () {
            try {
              yield* wait();
            } catch (error) {
              outcomes.push(error);
            }
          }),
        );
        yield* owner.join();
        for (const waiter of waiters) yield* waiter.join();
        for (const wait of waits) {
          try {
            yield* wait();
          } catch (error) {
            outcomes.push(error);
          }
        }
        expect(outcomes).toHaveLength(8);
        for (const error of outcomes) {
          expect(error).toBeInstanceOf(BrokenError);
          expect((error as Error).message).toMatch(/writer#2 ended while it owned journal/);
        }
        // Whoever releases it repairs it.
        gate.release();
        yield* gate.acquire();
        gate.release();
      },
      gate,
      free,
    );
  });

  test("H11 the same when the owner was killed or failed", () => {
    runChecked(function* () {
      for (const how of ["kill", "fail"]) {
        const gate = new Coordinator();
        const owner = spawn(
          function* () {
            yield* gate.acquire();
            yield* sleep(1);
            if (how === "fail") throw new Error("boom");
            yield* never();
          },
          { failure: "hold" },
        );
        owner.observe();
        yield* yieldNow();
        const waiter = spawn(
          function* () {
            yield* gate.acquire();
          },
          { failure: "hold" },
        );
        yield* sleep(2);
        if (how === "kill") owner.kill("stop");
        expect(yield* waiter.settled()).toMatchObject({
          status: "failed",
          error: { code: "COOP_OWNER_ENDED" },
        });
      }
    });
  });

  test("H11 the same when the owner was itself a waiter once", () => {
    inOrder();
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const [owner, waiter] = [0, 1].map((i) =>
        spawn(
          function* () {
            yield* gate.acquire();
            yield* sleep(i);
          },
          { failure: "hold", name: `task ${i}` },
        ),
      );
      yield* yieldNow();
      gate.release();
      expect((yield* owner!.settled()).status).toBe("done");
      const exit = yield* waiter!.settled();
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_OWNER_ENDED" } });
      expect((exit as { error: Error }).error.message).toContain("task 0#2 ended");
    });
  });

  test("H11 an owner that releases in its clean-up breaks nobody", () => {
    const gate = new Coordinator();
    const log: string[] = [];
    runChecked(function* () {
      const owner = spawn(function* () {
        yield* gate.acquire();
        try {
          yield* never();
        } finally {
          yield* sleep(1);
          gate.release();
        }
      });
      yield* yieldNow();
      takers(gate, ["next"], log);
      yield* yieldNow();
      yield* owner.killAndWait("stop");
      yield* yieldNow();
      expect(log).toEqual(["next"]);
    }, gate);
  });

  test("H11 a coordinator that was born held is owned by nobody and outlives its maker", () => {
    let gate!: Coordinator;
    runChecked(function* () {
      yield* spawn(function* () {
        gate = new Coordinator({ held: true });
      }).join();
      expect(gate.owner).toBe(null);
      const log: string[] = [];
      takers(gate, ["a"], log);
      yield* yieldNow();
      gate.release();
      yield* yieldNow();
      expect(log).toEqual(["a"]);
    });
  });
});

test("H12 a waiter that is woken, and whose priority changes before it runs, runs once in the new order", () => {
  const gate = new Signal();
  const rt = new VirtualRuntime();
  const log: string[] = [];
  runOn(rt, function* () {
    const tasks = ["a", "b", "c"].map((name) =>
      spawn(
        function* () {
          yield* gate.wait();
          log.push(name);
        },
        { name },
      ),
    );
    yield* yieldNow();
    gate.notify();
    rt.cooperator.setPriority(tasks[2]!, HIGH);
    rt.cooperator.setPriority(tasks[0]!, LOW);
    rt.cooperator.setPriority(tasks[2]!, HIGH);
    expect(rt.statistics().ready).toBe(3);
    for (const task of tasks) yield* task.join();
  });
  expect(log).toEqual(["c", "b", "a"]);
  expect(rt.statistics().steps).toBe(1 + 3 + 1 + 3 + 1);
  checked(rt, gate);
});

describe("H13 a spurious resume", () => {
  test("H13 granting twice, late, or to a task in another wait is not observable", () => {
    const queue: Reply[] = [];
    const log: string[] = [];
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const reply = new Reply(queue);
      const task = spawn(function* () {
        log.push(yield* reply);
        yield* gate.acquire();
        log.push("acquired");
      });
      yield* yieldNow();
      reply.reply({ value: "reply" });
      reply.grant();
      yield* yieldNow();
      expect(log).toEqual(["reply"]);
      // The task waits for something else by now.
      reply.grant();
      yield* yieldNow();
      expect(log).toEqual(["reply"]);
      expect(task.status).toBe("blocked");
      gate.release();
      yield* task.join();
      reply.grant();
      expect(log).toEqual(["reply", "acquired"]);
    }, gate);
  });

  test("H13 a late grant for a task that waits for its children to clean up is not observable", () => {
    const queue: Reply[] = [];
    const rt = new VirtualRuntime();
    runOn(rt, function* () {
      const reply = new Reply(queue);
      const task = spawn(function* () {
        spawn(function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(5);
          }
        });
        yield* reply;
      });
      yield* yieldNow();
      yield* yieldNow();
      task.kill("stop");
      yield* yieldNow();
      expect(task.status).toBe("draining");
      reply.grant();
      expect(task.status).toBe("draining");
      yield* task.settled();
      expect(rt.now).toBe(5);
    });
    checked(rt);
  });

  test("H13 a late grant for a task that was killed is not observable", () => {
    const queue: Reply[] = [];
    const gate = new Coordinator({ held: true });
    const log: string[] = [];
    runChecked(function* () {
      const reply = new Reply(queue);
      const task = spawn(function* () {
        try {
          yield* reply;
        } finally {
          yield* gate.acquire();
          log.push("clean-up has the gate");
        }
      });
      yield* yieldNow();
      task.kill("stop");
      reply.grant();
      yield* yieldNow();
      reply.grant();
      yield* yieldNow();
      expect(log).toEqual([]);
      gate.release();
      yield* task.settled();
      expect(log).toEqual(["clean-up has the gate"]);
    }, gate);
  });
});

test("H14 100,000 waiters, every second one killed in random order: the rest keep their order", () => {
  inOrder();
  const COUNT = 100_000;
  const gate = new Coordinator({ held: true });
  const rt = new VirtualRuntime();
  const woken: number[] = [];
  runOn(rt, function* () {
    const tasks: Task[] = [];
    for (let i = 0; i < COUNT; i++) {
      tasks.push(
        spawn(function* () {
          yield* gate.acquire();
          woken.push(i);
          gate.release();
        }),
      );
    }
    yield* yieldNow();
    expect(gate.waiting).toBe(COUNT);
    const victims = tasks.filter((_, i) => i % 2 === 1);
    let seed = 12345;
    for (let i = victims.length - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      const j = seed % (i + 1);
      [victims[i], victims[j]] = [victims[j]!, victims[i]!];
    }
    for (const victim of victims) victim.kill();
    expect(gate.waiting).toBe(COUNT / 2);
    gate.waiters.validate();
    gate.release();
    while (self().live > 0) yield* yieldNow();
  });
  expect(woken).toEqual(Array.from({ length: COUNT / 2 }, (_, i) => i * 2));
  expect(gate.held).toBe(false);
  expect(rt.statistics()).toMatchObject({ spawned: COUNT + 1, done: COUNT / 2 + 1, killed: COUNT / 2 });
  checked(rt, gate);
});

/** An operation that is cancelled at leisure: the buffer is busy until its completion arrives, 5 ms later. */
class SlowIo extends Wait<string> implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  private readonly io: SlowDevice;
  private readonly duration: number;
  private queue: TimerQueue | null = null;

  constructor(io: SlowDevice, duration: number) {
    super();
    this.io = io;
    this.duration = duration;
  }
  override describe(): string {
    return "slow io";
  }
  protected override begin(task: Task): boolean {
    this.queue = timerQueueOf(task.cooperator);
    this.io.submitted++;
    this.queue.arm(this, this.queue.now() + this.duration * 1e6);
    return false;
  }
  protected override finish(): string {
    this.io.delivered++;
    return "bytes";
  }
  override abort(): boolean {
    this.io.aborts++;
    this.queue!.arm(this, Math.min(this.deadline, this.queue!.now() + 5e6));
    return false;
  }
  override rollback(): void {
    this.io.reclaimed++;
  }
  fire(): void {
    this.io.completed++;
    this.grant();
  }
}

class SlowDevice {
  submitted = 0;
  aborts = 0;
  completed = 0;
  delivered = 0;
  reclaimed = 0;
}

describe("H15 an abort that refuses at first and completes later", () => {
  test("H15 is asked once, and the kill is delivered when the operation ends", () => {
    const rt = new VirtualRuntime();
    const io = new SlowDevice();
    const log: string[] = [];
    runOn(rt, function* () {
      const host = spawn(function* () {
        const task = spawn(function* () {
          try {
            log.push(yield* new SlowIo(io, 1000));
          } finally {
            log.push(`clean-up at ${rt.now}`);
          }
        });
        yield* task.settled();
      });
      yield* sleep(1);
      const [task] = [...host.children!];
      task!.kill("first");
      expect(io.aborts).toBe(1);
      expect(task!.status).toBe("blocked");
      yield* sleep(1);
      task!.kill("second");
      host.kill("third");
      expect(io.aborts).toBe(1);
      const exit = yield* task!.settled();
      expect(exit).toMatchObject({ status: "killed", cause: { reason: "first" } });
      expect(rt.now).toBe(6);
    });
    expect(log).toEqual(["clean-up at 6"]);
    expect(io).toEqual({ submitted: 1, aborts: 1, completed: 1, delivered: 0, reclaimed: 1 });
    checked(rt);
  });

  test("H15 inside a shield it is not asked at all, and the kill is delivered after the shield", () => {
    const rt = new VirtualRuntime();
    const io = new SlowDevice();
    const log: string[] = [];
    runOn(rt, function* () {
      const task = spawn(function* () {
        yield* shield(function* () {
          log.push(yield* new SlowIo(io, 20));
        });
        log.push("after the shield");
        yield* new SlowIo(io, 20);
        log.push("BAD");
      });
      yield* sleep(1);
      yield* task.killAndWait("stop");
      expect(rt.now).toBe(20);
    });
    expect(log).toEqual(["bytes", "after the shield"]);
    expect(io).toEqual({ submitted: 1, aborts: 0, completed: 1, delivered: 1, reclaimed: 0 });
    checked(rt);
  });

  test("H15 a kill of an outer scope that comes while the abort of an inner one is under way", () => {
    const rt = new VirtualRuntime();
    const io = new SlowDevice();
    const log: string[] = [];
    runOn(rt, function* () {
      const task = spawn(function* () {
        try {
          yield* timeout(10, function* () {
            yield* new SlowIo(io, 1000);
            log.push("BAD");
          });
        } catch {
          log.push("BAD");
        } finally {
          log.push(`outer clean-up at ${rt.now}`);
        }
      });
      yield* sleep(12);
      task.kill("stop");
      expect(io.aborts).toBe(1);
      expect((yield* task.settled()).status).toBe("killed");
    });
    expect(log).toEqual(["outer clean-up at 15"]);
    expect(io).toMatchObject({ aborts: 1, completed: 1, reclaimed: 1 });
    checked(rt);
  });

  test("H15 the operation may also complete in full before its abort does", () => {
    const io = new SlowDevice();
    runChecked(function* () {
      const task = spawn(function* () {
        yield* new SlowIo(io, 3);
      });
      yield* sleep(1);
      expect((yield* task.killAndWait()).status).toBe("killed");
    });
    expect(io).toEqual({ submitted: 1, aborts: 1, completed: 1, delivered: 0, reclaimed: 1 });
  });

  test("H15 wherever kills strike, also in pairs, every operation completes once and is accounted for", () => {
    const program = (): Program => {
      const io = new SlowDevice();
      return {
        body: function* () {
          const host = spawn(function* () {
            spawn(function* () {
              yield* new SlowIo(io, 8);
              yield* shield(function* () {
                yield* new SlowIo(io, 2);
              });
              yield* new SlowIo(io, 2);
            });
            yield* new SlowIo(io, 3);
          });
          yield* sleep(4);
          host.kill("stop");
          yield* host.settled();
        },
        check: () => {
          expect(io.completed).toBe(io.submitted);
          expect(io.delivered + io.reclaimed).toBe(io.completed);
          expect(io.aborts).toBeLessThanOrEqual(io.submitted);
          expect(io.reclaimed).toBeLessThanOrEqual(io.aborts + 1);
        },
      };
    };
    everywhere(program, 15);
    expect(killEverywhere(program, { kills: 2 }).runs).toBeGreaterThan(60);
  });

  test("H15 negative control: an abort that forgets its promise leaves the kill waiting, which shows", () => {
    class Forgetful extends SlowIo {
      override abort(): boolean {
        return false;
      }
      protected override begin(): boolean {
        return false;
      }
    }
    const rt = new VirtualRuntime();
    expect(() =>
      rt.run(function* () {
        const task = spawn(function* () {
          yield* new Forgetful(new SlowDevice(), 1);
        });
        yield* yieldNow();
        yield* task.killAndWait();
      }),
    ).toThrow(/every task is blocked[\s\S]*task#2 \(killed.*\): wait for slow io/);
  });
});

test("H15 misuse: a wait that is under way in one task is not taken by another", () => {
  const queue: Reply[] = [];
  runChecked(function* () {
    const reply = new Reply(queue);
    const first = spawn(function* () {
      return yield* reply;
    });
    yield* yieldNow();
    const second = spawn(
      function* () {
        return yield* reply;
      },
      { failure: "hold" },
    );
    const exit = yield* second.settled();
    expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_OPERATION_USED" } });
    expect((exit as { error: unknown }).error).toBeInstanceOf(UsageError);
    reply.reply({ value: "mine" });
    expect(yield* first.join()).toBe("mine");
  });
});
