/** Cometify's browser client: `Cometify.init({…}).start()`. */
import { type Listener, startListener } from './listener';
import { type Options, readOptions } from './options';

// Only while the script runs for the first time does the browser know which one it is.
const script = typeof document === 'undefined' ? null : document.currentScript;
const home = /^https?:\/\/[^/]+/.exec((script as HTMLScriptElement | null)?.src || '')?.[0];

/** Says what to listen to. Each `start()` is a listener of its own. */
export function init(options: Options): { start(): Listener } {
  const settings = readOptions(options, home);
  return { start: () => startListener({ ...settings, group: { ...settings.group } }) };
}
