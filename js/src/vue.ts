/**
 * Vue: `provideCometify`, `usePushes` and `useConnectionState`.
 *
 * A component begins to listen when it is mounted, because no component is mounted on a server. Another
 * scope, such as that of a store, listens at once. Both end with their scope.
 */
import {
  type App,
  type EffectScope,
  getCurrentInstance,
  getCurrentScope,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  onMounted,
  onScopeDispose,
  provide,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from 'vue';
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

const KEY = Symbol() as InjectionKey<OnDemand>;

/**
 * Gives a connection to the components below this one, or to the whole `app`. With options, a connection
 * is made when the first component listens.
 */
export function provideCometify(source: Connection | SourceOptions, app?: App): void {
  (app || { provide }).provide(KEY, onDemand(source));
}

function useOnDemand(): OnDemand {
  const found = inject(KEY, null);
  if (!found) throw new Error('Call provideCometify() above');
  return found;
}

/** Calls `onPush` with each push until the scope ends. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export function usePushes<T = any>(
  wanted: MaybeRefOrGetter<Wanted>,
  onPush: (push: PushNotice<T>) => void,
  options?: MaybeRefOrGetter<PushesOptions>,
): void {
  const wish = () => ({ ...toValue(options), wanted: toValue(wanted), onPush }) as Wish;
  const listen = useOnDemand().component(wish);
  const scope = getCurrentScope() as EffectScope;
  const start = () => {
    scope.run(() =>
      watch(
        () => keyOf(wish()),
        (_new, _old, onEnd) => onEnd(listen()),
        {
          immediate: true,
          flush: 'sync',
        },
      ),
    );
  };
  if (getCurrentInstance()) onMounted(start);
  else start();
}

/** The state of the connection; `idle` while nothing listens, and on a server. */
export function useConnectionState(): Readonly<ShallowRef<State>> {
  const { watch, state } = useOnDemand();
  const current = shallowRef(state());
  onScopeDispose(
    watch(() => {
      current.value = state();
    }),
  );
  return current;
}
