/** Cometify's browser client: `Cometify.init({…}).start()`. */
import { type Listener, startListener } from './listener';
import { type Options, ORIGIN, readOptions } from './options';

export type { PushId } from './frames';
export type { Callback, Identifiers } from './group';
export type { Listener } from './listener';
export type { Notice, NoticeOf, State } from './machine';
export type { GroupOptions, Options } from './options';
export type { Token } from './token';
export type { Transport, Way } from './transport';

// Only while the script runs for the first time does the browser know which one it is.
const script = typeof document === 'object' && (document.currentScript as HTMLScriptElement);
const [home] = ORIGIN.exec(script ? script.src : '') || [];

/** Says what to listen to. Each `start()` is a listener of its own. */
export function init(options: Options): { start(): Listener } {
  readOptions(options, home);
  return { start: () => startListener(readOptions(options, home)) };
}
