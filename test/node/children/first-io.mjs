// Usage: first-io.mjs DIST [memlock | files]. Prints how the first io of a program ends here, as JSON.
import { openSync } from "node:fs";

const [dist, limit] = process.argv.slice(2);
const { run, sleep } = await import(`${dist}/index.js`);
const { nop } = await import(`${dist}/io/index.js`);
if (limit === "memlock" && process.getuid() === 0) {
  process.setgid(65_534);
  process.setuid(65_534);
}

const held = [];
if (limit === "files") {
  // The addon itself is there by then.
  await run(nop());
  try {
    for (;;) held.push(openSync("/dev/null"));
  } catch {
    // None is left.
  }
}

function told(error) {
  const { name, code, message, cause } = error;
  return {
    name,
    code,
    message,
    cause: cause === undefined ? null : { code: cause.code, syscall: cause.syscall },
  };
}

const caught = [];
const value = await run(function* () {
  // It can be handled where it happens, and a second try is a second answer.
  for (let i = 0; i < 2; i++) {
    try {
      yield* nop();
      caught.push(null);
    } catch (error) {
      caught.push(told(error));
    }
  }
  // Everything but io works.
  yield* sleep(1);
  return "went on";
});
let thrown = null;
try {
  await run(nop());
} catch (error) {
  thrown = told(error);
}
console.log(JSON.stringify({ caught, value, thrown }));
