/** Cometify for Vue: components and stores listen until their scope ends. */
import type { App, MaybeRefOrGetter, ShallowRef } from 'vue';
import type {
  Connection,
  ConnectOptions,
  Identifiers,
  NoticeOf,
  PushNotice,
  State,
  SubscribeOptions,
} from './cometify.js';

/** The options of a new connection. */
export type SourceOptions = Pick<ConnectOptions, 'apiKey' | 'server' | 'transports' | 'share'>;

/** The identifiers that a component listens to. None while it does not know them yet. */
export type Wanted = Identifiers | null | undefined | false;

/** The options of `usePushes`. */
export interface PushesOptions extends Pick<SubscribeOptions, 'secureKey' | 'token' | 'since'> {
  /** Pushes to these identifiers may have been lost. Load their data from your own server again. */
  onGap?: ((gap: NoticeOf<'gap'>) => void) | undefined;
  /** Without it, errors are written to the console. */
  onError?: ((error: NoticeOf<'error'>) => void) | undefined;
}

/**
 * Gives a connection to the components below this one, or to the whole `app`. With options, a connection
 * is made when the first component listens, and ends after the last. A given connection is never stopped.
 */
export function provideCometify(source: Connection | SourceOptions, app?: App): void;

/**
 * Calls `onPush` with each push until the scope ends. Follows identifiers and options that are a ref or
 * a getter.
 */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export function usePushes<T = any>(
  wanted: MaybeRefOrGetter<Wanted>,
  onPush: (push: PushNotice<T>) => void,
  options?: MaybeRefOrGetter<PushesOptions>,
): void;

/** The state of the connection; `idle` while nothing listens, and on a server. */
export function useConnectionState(): Readonly<ShallowRef<State>>;
