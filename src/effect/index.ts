/** Effect programs as task bodies, and operations as effects. Needs the package `effect`. */
export { causeOf, EffectError, errorOf, KilledBy } from "./cause.ts";
export { type RunEffectOptions, runEffect } from "./run-effect.ts";
export { type ToEffectOptions, toEffect } from "./to-effect.ts";
