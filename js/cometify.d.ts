/**
 * Cometify's browser client: `Cometify.connect({…})`, and `Cometify.init({…}).start()`. A script tag
 * gives the same as the global `Cometify`.
 */
export as namespace Cometify;

/** Says what to listen to. Throws a TypeError that names the option that is wrong. */
export function init(options: Options): { start(): Connection };

/**
 * The connection, which listens to nothing until there is a subscription. Throws a TypeError that names
 * the option that is wrong.
 */
export function connect(options: ConnectOptions): Connection;

/** A number, a decimal string where a number would be rounded, or null if the push had none. */
export type PushId = number | string | null;

/** The text of a push, or its data: any JSON value. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export type Data = any;

/** Gets the text or the data, the push_id, and the identifier as the page spelled it. */
export type Callback = (data: Data, id: PushId, identifier: string) => void;

/** One, several, or each with the internal id after which it starts (in quotes from 2^53 up). */
export type Identifiers = string | readonly string[] | Readonly<Record<string, number | string>>;

type Given = string | null | undefined;

/**
 * A JWT; a promise of one; or a function that gives either, and is asked again before it expires. Null
 * or an empty text is no right: the group hears public pushes.
 */
export type Token = string | Promise<Given> | (() => Given | Promise<Given>);

export type Transport = 'websocket' | 'stream' | 'poll';

/** `shared`: through the listener that the tabs of this origin share. */
export type Way = Transport | 'shared';

export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';

/** The options of one subscription. */
export interface SubscribeOptions {
  /** `md5hex(apiKey + apiSecret + md5hex(identifiers, comma separated))`, for secret pushes. */
  secureKey?: string | null | undefined;
  /** Instead of a secureKey. */
  token?: Token | null | undefined;
  /** A function, or the (dotted) name of a global one, looked up when a push arrives. */
  callback?: Callback | string | undefined;
}

export interface ConnectOptions extends SubscribeOptions {
  apiKey: number | string;
  /** None, or an empty list: `subscribe` names them. */
  identifiers?: Identifiers | undefined;
  /** Where Cometify runs, unless it is where the script came from. A module must be told. */
  server?: string | undefined;
  /** The order to try: `['websocket', 'stream', 'poll']`. */
  transports?: readonly Transport[] | undefined;
  /** The tabs of this origin share one listener. */
  share?: boolean | undefined;
}

export interface Options extends ConnectOptions {
  identifiers: Identifiers;
  callback: Callback | string;
}

/** What the page is told by `on`. */
export type Notice =
  /** `after`: when waiting, how many milliseconds until it connects again. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | { type: 'push'; data: Data; id: PushId; identifier: string; position: number }
  /** Pushes to these identifiers may have been lost: load what they stand for afresh. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: it does not come back by itself. `identifiers`: only these are affected. */
  | { type: 'error'; code: string; detail: string; fatal: boolean; identifiers?: string[] };

export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>;

/** A connection or a subscription: both have the same methods. */
export interface Listener {
  /** That of the connection. After `stop()` it is `stopped`. */
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Way;
  /** Ends a connection for good, or only this subscription. */
  stop(): void;
  /** A connection hears everything, a subscription what is told to it. */
  on<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): this;
  off<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): this;
  /** Another subscription of the connection, with a callback or else that of the connection. */
  subscribe(identifiers: Identifiers, options?: SubscribeOptions): Subscription;
  /** Out of every subscription. The server goes on to send what a key signs until the whole list is gone. */
  unsubscribe(identifiers: string | readonly string[]): this;
}

export type Connection = Listener;
export type Subscription = Listener;
