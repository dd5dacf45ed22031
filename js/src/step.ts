/** The part of its state that the machine shares with its attempts. */
import type { Connection } from './connection';
import type { Effect } from './effects';

/** Each step collects its own effects, at one time. The last three outlive it. */
export interface Step {
  effects: Effect[];
  time: number;
  /** A random number. */
  chance: number;
  /** The time of the next tick. Infinity if none is needed. */
  deadline: number;
  /** The connection in use, or the last one. Nothing is known of it before the first. */
  attempt: Connection;
  /** The number of the connection in use, or of the next one if there is none. */
  generation: number;
}

export function createStep(): Step {
  return {
    effects: [],
    time: 0,
    chance: 0,
    deadline: Infinity,
    attempt: {} as Connection,
    generation: 0,
  };
}
