/** Cometify for React: components listen while they are mounted. */
import type { ReactElement, ReactNode } from 'react';
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

export type CometifyProviderProps = { children?: ReactNode } & (
  | (SourceOptions & { connection?: undefined })
  | { connection: Connection }
);

/**
 * Gives the components in it a connection, which is made when the first of them listens and ends after
 * the last. A given `connection` is never stopped.
 */
export function CometifyProvider(props: CometifyProviderProps): ReactElement;

/**
 * Calls `onPush` with each push while the component is mounted. Identifiers are compared by value, and
 * the newest functions are called, so none of them needs `useMemo` or `useCallback`.
 */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export function usePushes<T = any>(
  wanted: Wanted,
  onPush: (push: PushNotice<T>) => void,
  options?: PushesOptions,
): void;

/** The state of the connection; `idle` while no component listens, and on a server. */
export function useConnectionState(): State;
