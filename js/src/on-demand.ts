/**
 * The part that the entries for React and Vue share: a connection that is there while components
 * listen, and subscriptions that go on when their identifiers change.
 *
 * Rendering makes no connection. The first subscription makes it. The connection ends in the turn after
 * the last subscription has ended, because one component often replaces another in the same turn.
 */
import type { Identifiers } from './group';
import { type Connection, type ConnectOptions, connect } from './index';
import type { NoticeOf, PushNotice } from './notices';
import type { SubscribeOptions } from './options';
import type { State } from './states';
import type { Subscription } from './subscription';

/** The options of a new connection. */
export type SourceOptions = Pick<ConnectOptions, 'apiKey' | 'server' | 'transports' | 'share'>;

/** The options of `usePushes`. */
export interface PushesOptions extends Pick<SubscribeOptions, 'secureKey' | 'token' | 'since'> {
  /** Pushes to these identifiers may have been lost. Load their data from your own server again. */
  onGap?: ((gap: NoticeOf<'gap'>) => void) | undefined;
  /** Without it, errors are written to the console. */
  onError?: ((error: NoticeOf<'error'>) => void) | undefined;
}

/** The identifiers that a component listens to. None while it does not know them yet. */
export type Wanted = Identifiers | null | undefined | false;

/** The subscription that a component wishes for now. */
export interface Wish extends PushesOptions {
  wanted: Wanted;
  onPush(push: PushNotice): void;
}

export interface OnDemand {
  state(): State;
  /** Calls `changed` at each change of the state. Returns a function that ends these calls. */
  watch(changed: () => void): () => void;
  /**
   * Serves one component. Returns a function that subscribes by the wish of that moment, and in turn
   * returns a function that ends the subscription. Handlers and tokens are looked up when needed.
   */
  component(wish: () => Wish): () => () => void;
}

type Given = string | null | undefined;

/** A text that changes if the subscription must be replaced. Another function does not change it. */
export function keyOf(wish: Wish): string {
  return JSON.stringify({ ...wish, since: 0 }, (_, value) =>
    typeof value === 'function' ? 1 : value,
  );
}

function namesOf(wanted: Wanted): string[] {
  if (typeof wanted === 'string') return [wanted];
  return Array.isArray(wanted) ? [...wanted] : Object.keys(wanted || {});
}

/** `source`: the options of a new connection, or a given one, which is never stopped. */
export function onDemand(source: Connection | SourceOptions): OnDemand {
  let connection: Connection | undefined;
  const wishes = new Set<() => Wish>();
  const watchers = new Set<() => void>();
  /** The token functions of the connection, by the key of those that share one. */
  let tokens: Record<string, () => Promise<Given>> = {};

  function tell(): void {
    for (const changed of watchers) changed();
  }

  async function endSoon(): Promise<void> {
    await 0;
    if (wishes.size || !connection) return;
    connection.off('state', tell);
    if (connection !== source) connection.stop();
    connection = undefined;
    tokens = {};
    tell();
  }

  /**
   * One token function for components that listen to the same, so that they share one group. It calls
   * the newest function of one of them, because a component often makes a new one at each render.
   */
  function sharedToken(key: string): () => Promise<Given> {
    async function ask(): Promise<Given> {
      const { token } = [...wishes]
        .map((wish) => wish())
        .find((wish) => keyOf(wish) === key) as Wish;
      return typeof token === 'function' ? token() : token;
    }
    tokens[key] = tokens[key] || ask;
    return tokens[key];
  }

  return {
    state: () => (connection ? connection.state : 'idle'),
    watch(changed) {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    component(wish) {
      let last: Subscription | undefined;
      let lastNames: string[] = [];
      let lastSince: Wish['since'];
      return () => {
        const now = wish();
        const { wanted, secureKey, token, since, onGap, onError } = now;
        const names = namesOf(wanted);
        // A name that stays loses no push by the change.
        const goesOn = since === lastSince && names.some((name) => lastNames.includes(name));
        const from = (goesOn && last && last.position) || since;
        last = undefined;
        lastNames = names;
        lastSince = since;
        if (names[0]) {
          // Before anything can throw.
          endSoon();
          connection = connection || ('on' in source ? source : connect(source)).on('state', tell);
          last = connection.subscribe(wanted as Identifiers, {
            secureKey,
            token: token && typeof token !== 'string' ? sharedToken(keyOf(now)) : token,
            since: from,
          });
          wishes.add(wish);
          last.on('push', (push) => wish().onPush(push));
          if (onGap) last.on('gap', (gap) => (wish().onGap as typeof onGap)(gap));
          if (onError) last.on('error', (error) => (wish().onError as typeof onError)(error));
        }
        return () => {
          wishes.delete(wish);
          endSoon();
          if (last) last.stop();
        };
      };
    },
  };
}
