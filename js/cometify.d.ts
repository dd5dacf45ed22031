/**
 * Cometify's browser client: `Cometify.connect({…})`, and `Cometify.init({…}).start()`. A script tag
 * gives the same as the global `Cometify`.
 */
export as namespace Cometify;

/** Checks the options. `start()` connects. Throws a TypeError that names the wrong option. */
export function init(options: Options): { start(): Connection };

/**
 * Makes a connection. Without `identifiers` it listens to nothing until there is a subscription. Throws
 * a TypeError that names the wrong option.
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
 * A JWT, a promise of one, or a function that gives either. The function is called again before the
 * token expires. With null or an empty text, the subscription hears public pushes only.
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
  /** The position after which to begin, as `GET /{apiKey}/position` tells it. */
  since?: number | string | null | undefined;
}

export interface ConnectOptions extends SubscribeOptions {
  apiKey: number | string;
  /** Left out or empty: the connection itself listens to nothing, and `subscribe` adds identifiers. */
  identifiers?: Identifiers | undefined;
  /**
   * The URL of Cometify. By default it is the origin of the script. A module needs it. With the module it may
   * be `{origin, poll}`: `poll` is a cache before the server that answers the polls for public pushes.
   */
  server?: string | { origin: string; poll: string } | undefined;
  /** The order to try: `['websocket', 'stream', 'poll']`. */
  transports?: readonly Transport[] | undefined;
  /** The tabs of this origin share one listener. */
  share?: boolean | undefined;
}

export interface Options extends ConnectOptions {
  identifiers: Identifiers;
  callback: Callback | string;
}

export interface PushNotice<D = Data, E extends string | null = string | null> {
  type: 'push';
  data: D;
  id: PushId;
  /** The name of what happened, or null if the push has none. */
  event: E;
  /** As the page spelled it. */
  identifier: string;
  position: number;
}

/** A notice that handlers get. */
export type Notice<D = Data> =
  /** `after`: when waiting, how many milliseconds until it connects again. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | PushNotice<D>
  /** Pushes to these identifiers may have been lost. Load their data from your own server again. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: the client does not come back by itself. `identifiers`: only these are affected. */
  | { type: 'error'; code: string; detail: string; fatal: boolean; identifiers?: string[] };

export type NoticeOf<T extends Notice['type'], D = Data> = Extract<Notice<D>, { type: T }>;

/** The data of each event of a subscription, by its name. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export type Events = Record<string, any>;

/** Something to hear of: a notice, or the pushes of an event. */
export type Heard<E, T> = T extends Notice['type']
  ? NoticeOf<T, E[keyof E]>
  : T extends keyof E & string
    ? PushNotice<E[T], T>
    : never;

export interface HearOptions {
  /** Removes the handler when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * A connection or a subscription: both have the same methods. `E` has the data of each event:
 * `subscribe<{created: Order; deleted: {id: number}}>('orders')`.
 */
export interface Listener<E = Events> {
  /** The state of the connection. It is `stopped` after `stop()`. */
  readonly state: State;
  /** The transport that is in use, or is being tried. */
  readonly transport: Way;
  /**
   * The id by which the server knows this listener: a push with it as `except` is not sent here. Read it
   * when you push, because the listener takes another one if a second connection has taken this one.
   */
  readonly listener: string;
  /** Of a subscription: it has heard everything up to this position. Undefined before it has joined. */
  readonly position: number | undefined;
  /** Ends a connection for good, or only this subscription. */
  stop(): void;
  /**
   * Adds a handler. A connection hears everything, a subscription only its own notices. `push` hears
   * every push. A name that is no notice is an event: the handler hears the pushes with this event.
   */
  on<T extends Notice['type'] | (keyof E & string)>(
    type: T,
    hear: (notice: Heard<E, T>) => void,
    options?: HearOptions,
  ): this;
  off<T extends Notice['type'] | (keyof E & string)>(
    type: T,
    hear: (notice: Heard<E, T>) => void,
  ): this;
  /** Adds a subscription. Without `callback` it has the callback of the connection. */
  subscribe<F = Events>(
    identifiers: Identifiers,
    options?: SubscribeOptions | Callback,
  ): Subscription<F>;
  /**
   * Removes identifiers from every subscription. A list with a secureKey stays whole on the server until
   * its last identifier is removed.
   */
  unsubscribe(identifiers: string | readonly string[]): this;
}

export type Connection = Listener;
export type Subscription<E = Events> = Listener<E>;
