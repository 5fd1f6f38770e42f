// Usage: prlimit --memlock=65536:65536 node memlock.mjs. Prints what a user without privileges gets.
import { createRing } from "./ring.mjs";

if (process.getuid() === 0) {
  process.setgid(65_534);
  process.setuid(65_534);
}
const rings = [];
let failure = null;
while (failure === null && rings.length < 50) {
  const ring = createRing(256, 1024);
  if ("step" in ring) failure = ring;
  else rings.push(ring);
}
const sizes = rings.map((ring) => ring.sqEntries);
for (const ring of rings) ring.close();
// The charge of the closed ones is released late: waiting for it is part of the set-up.
const again = createRing(256, 1024);
const works = "step" in again ? again : { sqEntries: again.sqEntries };
if (!("step" in again)) again.close();
// A short submission queue is no reason to insist on a long completion queue.
const lopsided = createRing(4, 8192);
const shrunk = "step" in lopsided ? lopsided : { cqEntries: lopsided.cqEntries };
console.log(JSON.stringify({ sizes, failure, again: works, lopsided: shrunk }));
