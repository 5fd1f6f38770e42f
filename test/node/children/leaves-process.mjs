// Usage: leaves-process.mjs DIST. Starts a program, prints its number, and leaves without ending anything.
const [dist] = process.argv.slice(2);
const { run } = await import(`${dist}/index.js`);
const { spawnProcess } = await import(`${dist}/io/index.js`);

await run(function* () {
  const child = yield* spawnProcess("sleep", ["100"], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  process.stdout.write(String(child.pid), () => process.exit(5));
  yield* child.wait();
});
