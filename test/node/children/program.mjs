// Usage: program.mjs DIST MODE. What keeps a process alive and what lets it end, without main().
const [dist, mode] = process.argv.slice(2);
const { Coordinator, run, sleep, timeout, shield } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const blocked = () => new Coordinator({ held: true, name: "the gate" }).acquire();

const programs = {
  *sleep() {
    yield* sleep(30);
  },
  *io() {
    const listener = yield* io.listen("127.0.0.1:0");
    try {
      yield* timeout(30, listener.accept());
    } catch (error) {
      console.log(error.code);
    }
  },
  *"deadlock after io"() {
    yield* io.nop();
    yield* blocked();
  },
  *"deadlock in a shield"() {
    yield* shield(blocked());
  },
};
process.on("warning", (warning) => console.log(`warning ${warning.name}`));
if (mode === "two deadlocks") {
  const ends = await Promise.allSettled([run(blocked(), { name: "one" }), run(blocked(), { name: "two" })]);
  for (const { reason } of ends) console.log(reason.code, reason.message.split("\n")[1]);
} else if (mode === "many") {
  const ends = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      run(function* () {
        yield* sleep(5);
        yield* io.nop();
        return i;
      }),
    ),
  );
  console.log(ends.reduce((sum, value) => sum + value));
} else {
  try {
    await run(programs[mode], { name: "program" });
    console.log("ended");
  } catch (error) {
    console.log(error.code, error.message.split("\n")[1]);
  }
}
console.log(`listeners ${process.listenerCount("beforeExit")}`);
