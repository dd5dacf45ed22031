/** The listener that a page holds: what happens is told to the page's code, and its groups change. */
import { lookUp, safely } from './callback';
import type { Identifiers } from './group';
import { openHttp } from './http';
import { loadShare } from './load';
import { type Effect, errorNotice, type Notice, type NoticeOf, type State } from './machine';
import { type GroupOptions, readGroup, type Settings } from './options';
import { createRun, type Ways } from './run';
import type { Way } from './transport';
import { openWebSocket } from './websocket';

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
export function startListener([url, group, transports, share]: Settings): Listener {
  const groups = [group];
  const ways = { websocket: openWebSocket, stream: openHttp, poll: openHttp } as Ways;
  const said = new Set<string>();
  let hearers: [type: string, hear: (notice: never) => void][] = [];
  let isChanged = true;

  const run = createRun(url, groups, transports, ways, (effect) => {
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
    else tell('no_callback', `${callback} is not a function`);
    notify({ type: 'push', data, id, identifier, position });
  }

  function tell(code: string, detail: string): void {
    notify(errorNotice(code, detail));
  }

  function notify(notice: Notice): void {
    const { type } = notice;
    const those = hearers.filter(([heard]) => heard === type);
    if (type === 'state') show(notice);
    for (const [, hear] of those) safely(() => hear(notice as never));
    if (type === 'error' && !those.length) say(`${notice.code}: ${notice.detail}`);
  }

  function show({ state, transport }: NoticeOf<'state'>): void {
    listener.state = state;
    listener.transport = transport;
    if (state === 'stopped') hearers = [];
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
  async function change(): Promise<void> {
    if (isChanged) return;
    isChanged = true;
    await 0;
    isChanged = false;
    run.regroup();
  }

  const listener: Listener & { state: State; transport: Way } = {
    state: 'idle' as State,
    transport: transports[0] as Way,
    stop: () => run.feed({ type: 'stop' }),
    on(type, hear) {
      hearers.push([type, hear]);
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
    if (share) {
      try {
        await (await loadShare(url))(createRun, url, transports, ways, run.feed);
      } catch {
        tell('not_shared', 'cometify.share.min.js did not load or work');
      }
    }
    isChanged = false;
    run.start();
  }

  begin();
  return listener;
}
