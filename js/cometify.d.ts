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
  /** The position after which to begin, as `GET /{apiKey}/position` tells it. */
  since?: number | string | null | undefined;
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

/** What the page is told by `on`. */
export type Notice<D = Data> =
  /** `after`: when waiting, how many milliseconds until it connects again. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | PushNotice<D>
  /** Pushes to these identifiers may have been lost: load what they stand for afresh. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: it does not come back by itself. `identifiers`: only these are affected. */
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
  /** Takes the handler away when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * A connection or a subscription: both have the same methods. `E` has the data of each event:
 * `subscribe<{created: Order; deleted: {id: number}}>('orders')`.
 */
export interface Listener<E = Events> {
  /** That of the connection. After `stop()` it is `stopped`. */
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Way;
  /** The id by which the server knows this listener: a push with it as `except` is not sent here. */
  readonly listener: string;
  /** Of a subscription: it has heard everything up to this position. Undefined before it has joined. */
  readonly position: number | undefined;
  /** Ends a connection for good, or only this subscription. */
  stop(): void;
  /**
   * A connection hears everything, a subscription what is told to it. `push` hears every push. Any other
   * name than those of the notices is an event, and hears the pushes with this event.
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
  /** Another subscription of the connection, with a callback or else that of the connection. */
  subscribe<F = Events>(identifiers: Identifiers, options?: SubscribeOptions): Subscription<F>;
  /** Out of every subscription. The server goes on to send what a key signs until the whole list is gone. */
  unsubscribe(identifiers: string | readonly string[]): this;
}

export type Connection = Listener;
export type Subscription<E = Events> = Listener<E>;
