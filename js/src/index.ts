/** Cometify's browser client: `Cometify.connect({…})`, and `Cometify.init({…}).start()`. */
import { startListener } from './listener';
import {
  type ConnectOptions,
  OPTIONS,
  type Options,
  ORIGIN,
  readOptions,
  readServers,
} from './options';
import type { Connection } from './subscription';
import { checkNames } from './teach';

export type { PushId } from './frames';
export type { Callback, Data, Identifiers } from './group';
export type { Events, Heard, Notice, NoticeOf, PushNotice } from './notices';
export type { ConnectOptions, Options, SubscribeOptions } from './options';
export type { State } from './states';
export type { Connection, HearOptions, Listener, Subscription } from './subscription';
export type { Token } from './token';
export type { Transport, Way } from './transport';

// The browser knows which script is running only while that script runs for the first time.
const script = typeof document === 'object' && (document.currentScript as HTMLScriptElement);
const [home] = ORIGIN.exec((script && script.src) as string) || [];

/** Replaced by the build: true in the module, which can poll through the edge. */
declare const EDGE: boolean;

/** Checks the options, so that a mistake is thrown at once. Each `start()` is a listener of its own. */
export function init(options: Options): { start(): Connection } {
  if (EDGE) readServers(options, home);
  else readOptions(options, home);
  checkNames(options, OPTIONS);
  return {
    start: () => startListener(EDGE ? readServers(options, home) : readOptions(options, home)),
  };
}

/** Listens to nothing until there is a subscription. A push then needs no callback, only a handler. */
export function connect(options: ConnectOptions): Connection {
  const { identifiers = [], callback = () => {} } = options || ({} as ConnectOptions);
  return init({ ...options, identifiers, callback }).start();
}
