/** The interface of the machine: the inputs that it takes, and the effects that it answers with. */
import type { Frame, PushFrame } from './frames';
import type { Group } from './group';
import type { Notice } from './notices';
import type { State } from './states';
import type { Way } from './transport';

export type Input =
  /** `rung`: the place in the list of transports to begin with. */
  | { type: 'start'; rung: number | undefined }
  | { type: 'stop' }
  /** The groups have changed, or their keys have. */
  | { type: 'regroup' }
  /** The deadline may have come. */
  | { type: 'tick' }
  /** The page is visible again, or (`network`) the browser is online again. */
  | { type: 'wake'; network: boolean }
  /** The page is left, perhaps to come back. */
  | { type: 'hide' }
  /** The connection reports a frame. One that was closed reports nothing. */
  | { type: 'heard'; frame: Frame };

export type Effect =
  | Exclude<Notice, { type: 'push' | 'gap' }>
  /** `forNow`: a connection will be opened again, at once or after a while. */
  | { type: 'close'; forNow: boolean }
  | { type: 'open'; transport: Way }
  /** Send a `listen` frame again, on the same connection. */
  | { type: 'listen' }
  | { type: 'push'; group: Group; push: PushFrame }
  /** The group has lost its right, or has none yet. All others go on. */
  | { type: 'deny'; group: Group; code: string; detail: string }
  /** The identifiers are those of the group, as the page spelled them. */
  | { type: 'gap'; group: Group; identifiers: string[] }
  /** A frame was heard. The effects before this one are its consequences. */
  | { type: 'heard'; frame: Frame };

export interface Machine {
  readonly state: State;
  /**
   * Takes one input, the time in milliseconds, and a random number from [0, 1). Returns the effects in
   * the order to carry them out, and the time of the next tick, which is Infinity if none is needed.
   */
  step(input: Input, time: number, chance: number): [effects: Effect[], deadline: number];
}
