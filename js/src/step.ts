/** The part of its state that the machine shares with its attempts. */
import type { Connection } from './connection';
import type { Effect } from './effects';

/** Each step begins with its own effects, time and chance. The others outlive it. */
export interface Step {
  effects: Effect[];
  time: number;
  /** A random number. */
  chance: number;
  /** The time of the next tick. Infinity if none is needed. */
  deadline: number;
  /** The connection in use, or the last one. Nothing is known of it before the first. */
  attempt: Connection;
}

export function createStep(): Step {
  return { deadline: Infinity, attempt: {} } as Step;
}
