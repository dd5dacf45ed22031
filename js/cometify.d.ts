/**
 * Cometify's browser client. `Cometify.init({…}).start()` listens; a script tag gives the same as the
 * global `Cometify`.
 */
export as namespace Cometify;

/** Says what to listen to. Throws a TypeError that names the option that is wrong. */
export function init(options: Options): { start(): Listener };

/** A number, a decimal string where a number would be rounded, or null if the push had none. */
export type PushId = number | string | null;

/** Gets the text, the push_id, and the identifier as the page spelled it. */
export type Callback = (data: string, id: PushId, identifier: string) => void;

/** One, several, or each with the internal id after which it starts (in quotes from 2^53 up). */
export type Identifiers = string | readonly string[] | Readonly<Record<string, number | string>>;

/** A JWT; a promise of one; or a function that gives either, and is asked again before it expires. */
export type Token = string | Promise<string> | (() => string | Promise<string>);

export type Transport = 'websocket' | 'stream' | 'poll';

/** `shared`: through the listener that the tabs of this origin share. */
export type Way = Transport | 'shared';

export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';

export interface GroupOptions {
  /** `md5hex(apiKey + apiSecret + md5hex(identifiers, comma separated))`, for secret pushes. */
  secureKey?: string | null | undefined;
  /** Instead of a secureKey. */
  token?: Token | null | undefined;
  /** A function, or the (dotted) name of a global one, looked up when a push arrives. */
  callback?: Callback | string | undefined;
}

export interface Options extends GroupOptions {
  apiKey: number | string;
  identifiers: Identifiers;
  callback: Callback | string;
  /** Where Cometify runs, unless it is where the script came from. A module must be told. */
  server?: string | undefined;
  /** The order to try: `['websocket', 'stream', 'poll']`. */
  transports?: readonly Transport[] | undefined;
  /** The tabs of this origin share one listener. */
  share?: boolean | undefined;
}

/** What the page is told by `on`. */
export type Notice =
  /** `after`: when waiting, how many milliseconds until it connects again. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | { type: 'push'; data: string; id: PushId; identifier: string; position: number }
  /** Pushes to these identifiers may have been lost: load what they stand for afresh. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: it does not come back by itself. */
  | { type: 'error'; code: string; detail: string; fatal: boolean };

export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>;

export interface Listener {
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Way;
  /** Ends it for good. */
  stop(): void;
  on<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  off<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  /** Another group, with a key of its own, and a callback or else that of `init`. */
  subscribe(identifiers: Identifiers, options?: GroupOptions): Listener;
  /** Out of every group. What a secureKey signs the server goes on to send until the whole list is gone. */
  unsubscribe(identifiers: string | readonly string[]): Listener;
}
