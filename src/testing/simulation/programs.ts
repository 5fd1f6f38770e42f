/**
 * Random programs with io, each with a model of what must come out: a byte of a stream tells where it was, a block of
 * a file tells who has written it. They may be killed anywhere, and every operation may fail.
 */
import type { Body } from "../../coordinator/operation.ts";
import { blocks, datagrams, saves } from "./scenes-files.ts";
import {
  buffered,
  clumsy,
  duplex,
  echo,
  goodbyes,
  pipe,
  selects,
  storm,
  timeouts,
} from "./scenes-streams.ts";
import type { Simulation } from "./simulation.ts";
import { type Scene, Stage, together, tolerant } from "./stage.ts";

/** Most programs are short: many seeds find more than long runs. Some are long enough for what needs time. */
const LENGTHS: readonly number[] = [0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.3, 1];
const SCENES_MAX = 4;

/** A program of one to four scenes that go on at the same time. */
export function randomIoProgram(simulation: Simulation): Body<unknown> {
  const { dice } = simulation;
  const length = dice.pick(LENGTHS);
  const scenes = Array.from({ length: dice.between(1, length < 0.3 ? 2 : SCENES_MAX) }, (_, index) => ({
    scene: dice.pick(SCENES),
    stage: new Stage(simulation, index, length),
  }));
  return function* () {
    yield* together(scenes.map(({ scene, stage }) => tolerant(() => scene(stage))));
  };
}

const SCENES: readonly Scene[] = [
  duplex,
  echo,
  pipe,
  blocks,
  saves,
  selects,
  timeouts,
  storm,
  buffered,
  datagrams,
  goodbyes,
  clumsy,
];
