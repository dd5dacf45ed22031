/** The listener that a page holds: what happens is told to the page's code, and its groups change. */
import { lookUp, safely } from './callback';
import type { Identifiers } from './group';
import { loadShare } from './load';
import type { Effect, Notice, NoticeOf, State } from './machine';
import { type GroupOptions, readGroup, type Settings } from './options';
import { createRun, WAYS } from './run';
import type { Way } from './transport';

export interface Listener {
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Way;
  stop(): void;
  on<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  off<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  /** Another group, with a key and a callback of its own, or else the callback of the first. */
  subscribe(identifiers: Identifiers, options?: GroupOptions): Listener;
  /** Out of every group. What a key signs the server goes on to send until the whole list is gone. */
  unsubscribe(identifiers: string | readonly string[]): Listener;
}

/** Starts to listen as soon as the page's code that calls this is done, so that `on` misses nothing. */
export function startListener({ server, apiKey, group, transports, share }: Settings): Listener {
  const url = `${server}/${apiKey}/`;
  const groups = [group];
  const ways = { ...WAYS };
  const used: Way[] = [...transports];
  const said = new Set<string>();
  let hearers: [type: string, hear: (notice: never) => void][] = [];
  let isChanged = true;
  let rest = () => {};

  const run = createRun(url, groups, used, ways, (effect) => {
    const { type } = effect;
    if (type === 'push') deliver(effect);
    else if (type === 'state' || type === 'gap' || type === 'error') notify(effect);
  });

  function deliver({
    group: { spelling, callback },
    push,
  }: Extract<Effect, { type: 'push' }>): void {
    const { text: data, push_id: id, position } = push;
    const identifier = spelling.get(push.identifier) as string;
    const call = lookUp(callback as string);
    if (call) safely(() => call(data, id, identifier));
    else tell('no_callback', `window.${callback} is not a function`);
    notify({ type: 'push', data, id, identifier, position });
  }

  function tell(code: string, detail: string): void {
    notify({ type: 'error', code, detail, fatal: false });
  }

  function notify(notice: Notice): void {
    const { type } = notice;
    const those = hearers.filter(([heard]) => heard === type);
    if (type === 'state') show(notice);
    for (const [, hear] of those) safely(() => hear(notice as never));
    if (type === 'error' && !those.length) say(`${notice.code}: ${notice.detail}`);
  }

  function show({ state, transport, after }: NoticeOf<'state'>): void {
    Object.assign(listener, { state, transport });
    if (state === 'stopped') hearers = [];
    // A page that is left, or has given up, takes part in nothing.
    if (after === null && !/^co/.test(state)) rest();
  }

  /** Once each, and never with a key in it: consoles are photographed and pasted. */
  function say(text: string): void {
    let safe = `Cometify: ${text}`;
    for (const { secureKey, token } of groups) {
      safe = safe.split(secureKey || (token as string)).join('…');
    }
    if (!said.has(safe)) console.error(safe);
    said.add(safe);
  }

  /** What a page changes in one go is asked for in one go; before the start, at the start. */
  function change(): void {
    if (!isChanged)
      Promise.resolve()
        .then(run.regroup)
        .then(() => {
          isChanged = false;
        });
    isChanged = true;
  }

  const listener: Listener & { state: State; transport: Way } = {
    state: 'idle' as State,
    transport: used[0] as Way,
    stop: () => run.feed({ type: 'stop' }),
    on(type, hear) {
      hearers = [...hearers, [type, hear]];
      return listener;
    },
    off(type, hear) {
      hearers = hearers.filter(([t, h]) => t !== type || h !== hear);
      return listener;
    },
    subscribe(identifiers, options) {
      groups.push(readGroup(identifiers, { callback: group.callback, ...options }));
      change();
      return listener;
    },
    unsubscribe(identifiers) {
      for (const name of ([] as string[]).concat(identifiers)) drop(name.toLowerCase());
      return listener;
    },
  };

  function drop(name: string): void {
    for (const one of [...groups]) {
      const spelled = one.spelling.get(name);
      if (spelled) {
        one.spelling.delete(name);
        if (!one.spelling.size) groups.splice(groups.indexOf(one), 1);
        else if (one.secureKey) continue;
        else if (Array.isArray(one.identifiers)) one.identifiers = [...one.spelling.values()];
        else delete one.identifiers[spelled];
        change();
      }
    }
  }

  async function begin(): Promise<void> {
    await 0;
    if (share && navigator.locks && self.BroadcastChannel) {
      try {
        const join = await loadShare(server);
        if (listener.state === 'idle') {
          rest = join(
            `cometify ${url}`,
            ways,
            (asked, act) => createRun(url, asked, [...transports], WAYS, act),
            () => run.feed({ type: 'wake', network: true }),
          );
          used.splice(0, 9, 'shared');
        }
      } catch (thrown) {
        tell('not_shared', `This tab listens by itself: ${thrown}`);
      }
    }
    isChanged = false;
    run.start();
  }

  begin();
  return listener;
}
