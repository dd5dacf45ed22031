/** The methods of the objects that a page holds: of a connection, and of each of its subscriptions. */
import type { Callback, Identifiers } from './group';
import type { Events, Heard, Notice } from './notices';
import type { SubscribeOptions } from './options';
import type { State } from './states';
import type { Way } from './transport';

export interface HearOptions {
  /** Removes the handler when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** A connection or a subscription: both have the same methods. */
export interface Listener<E = Events> {
  /** The state of the connection. It is `stopped` after `stop()`. */
  readonly state: State;
  /** The transport that is in use, or is being tried. */
  readonly transport: Way;
  /** The id by which the server knows this listener: a push with it as `except` is not sent here. */
  readonly listener: string;
  /** Of a subscription: it has heard everything up to this position. Undefined before it has joined. */
  readonly position: number | undefined;
  /** Ends a connection for good, or only this subscription. */
  stop(): void;
  /** Adds a handler. A connection hears everything, a subscription only its own notices. */
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
