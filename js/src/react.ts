/**
 * React: `<CometifyProvider>`, `usePushes` and `useConnectionState`.
 *
 * Only effects touch the connection. So a render that React throws away, repeats or does on a server
 * leaves nothing behind.
 */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from 'react';
import type { PushNotice } from './notices';
import {
  keyOf,
  type OnDemand,
  onDemand,
  type PushesOptions,
  type SourceOptions,
  type Wanted,
  type Wish,
} from './on-demand';
import type { State } from './states';
import type { Connection } from './subscription';

export type { PushesOptions, SourceOptions, Wanted } from './on-demand';

export type CometifyProviderProps = { children?: ReactNode } & (
  | (SourceOptions & { connection?: undefined })
  | { connection: Connection }
);

const Context = createContext<OnDemand | null>(null);

/** Gives the components in it a connection, which is made when the first of them listens. */
export function CometifyProvider({
  children,
  connection,
  ...options
}: CometifyProviderProps): ReactElement {
  const key = connection || JSON.stringify(options);
  // biome-ignore lint/correctness/useExhaustiveDependencies: options are compared by value
  const value = useMemo(() => onDemand(connection || (options as SourceOptions)), [key]);
  return createElement(Context.Provider, { value }, children);
}

function useOnDemand(): OnDemand {
  const found = useContext(Context);
  if (!found) throw new Error('Cometify needs a <CometifyProvider> above');
  return found;
}

/** Calls `onPush` with each push while the component is mounted. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export function usePushes<T = any>(
  wanted: Wanted,
  onPush: (push: PushNotice<T>) => void,
  options?: PushesOptions,
): void {
  const source = useOnDemand();
  const wish = { ...options, wanted, onPush } as Wish;
  const latest = useRef(wish);
  useEffect(() => {
    latest.current = wish;
  });
  const listen = useMemo(() => source.component(() => latest.current), [source]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key tells that the wish has changed
  useEffect(listen, [listen, keyOf(wish)]);
}

/** The state of the connection; `idle` while no component listens, and on a server. */
export function useConnectionState(): State {
  const { watch, state } = useOnDemand();
  return useSyncExternalStore(watch, state, () => 'idle');
}
