// Usage: drop-rights.mjs DIST SECRET PLACE. Started as root: opens SECRET, gives its rights up, and tries again.
const [dist, secret, place] = process.argv.slice(2);
const { run } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const outcome = function* (operation) {
  try {
    yield* operation;
    return "allowed";
  } catch (error) {
    return error.code;
  }
};

const told = await run(function* () {
  const open = yield* io.open(secret);
  process.setgroups([]);
  process.setgid(65_534);
  process.setuid(65_534);
  return {
    open: yield* outcome(io.open(secret)),
    read: yield* outcome(io.readFile(secret)),
    create: yield* outcome(io.writeFile(`${place}/new`, "text")),
    atomically: yield* outcome(io.writeFileAtomic(`${place}/new`, "text")),
    unlink: yield* outcome(io.unlink(secret)),
    rename: yield* outcome(io.rename(secret, `${place}/other`)),
    mkdir: yield* outcome(io.mkdir(`${place}/directory`)),
    // What was opened before stays open, as everywhere.
    before: yield* outcome(open.read(Buffer.alloc(1), { position: 0 })),
    other: yield* outcome(io.nop()),
  };
});
console.log(JSON.stringify(told));
