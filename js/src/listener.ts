/** The listener that a page holds: it tells the page's code what happens, and its groups can change. */
import { lookUp, safely } from './callback';
import type { Effect } from './effects';
import type { Group, Identifiers } from './group';
import { openHttp } from './http';
import { loadShare } from './load';
import { errorNotice, type Notice, type NoticeOf } from './notices';
import { type GroupOptions, readGroup, type Settings } from './options';
import { createRun, type Ways } from './run';
import type { State } from './states';
import type { Way } from './transport';
import { openWebSocket } from './websocket';

export interface Listener {
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Way;
  /** Ends it for good. */
  stop(): void;
  on<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  off<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  /** Another group, with a key of its own, and a callback or else that of `init`. */
  subscribe(identifiers: Identifiers, options?: GroupOptions): Listener;
  /** Out of every group. The server goes on to send what a key signs until the whole list is gone. */
  unsubscribe(identifiers: string | readonly string[]): Listener;
}

type Hearer = [type: string, hear: (notice: never) => void];

/** Starts after the page's code that calls this has run, so that a handler added by it misses nothing. */
export function startListener({
  url,
  group: first,
  ways: transports,
  isShared,
}: Settings): Listener {
  const groups = [first];
  const ways = { websocket: openWebSocket, stream: openHttp, poll: openHttp } as Ways;
  let transport = transports[0] as Way;
  let hearers: Hearer[] = [];
  /** Texts that were written to the console, each of which is written once. */
  const written = new Set<string>();
  /** The groups have changed in this turn. Before the start no change needs to be told. */
  let isChanged = true;

  const run = createRun(url, groups, transports, ways, (effect) => {
    const { type } = effect;
    if (type === 'push') deliver(effect);
    else if (type === 'state' || type === 'gap' || type === 'error') notify(effect);
  });

  function deliver({ group, push }: Extract<Effect, { type: 'push' }>): void {
    const { text: data, push_id: id, position } = push;
    const identifier = group.spelling.get(push.identifier) as string;
    safely(() => {
      const call = lookUp(group.callback as string);
      if (call) call(data, id, identifier);
      else tellError('no_callback', `${group.callback} is not a function. Declare it globally.`);
    });
    notify({ type: 'push', data, id, identifier, position });
  }

  function tellError(code: string, detail: string): void {
    notify(errorNotice(code, detail));
  }

  function notify(notice: Notice): void {
    const { type } = notice;
    const addressed = hearers.filter(([heard]) => heard === type);
    let isLast = false;
    if (notice.type === 'state') {
      transport = notice.transport;
      isLast = notice.state === 'stopped';
      if (isLast) hearers = [];
    }
    for (const [, hear] of addressed) {
      // A handler before this one may have stopped the listener. Then only that is still told.
      if (isLast || run.state !== 'stopped') safely(() => hear(notice as never));
    }
    if (notice.type === 'error' && !addressed.length) write(`${notice.code}: ${notice.detail}`);
  }

  /** Never with a key in it, because consoles are photographed and pasted. */
  function write(text: string): void {
    let safe = `Cometify: ${text}`;
    for (const { secureKey, token } of groups) {
      safe = safe.split(secureKey || (token as string)).join('…');
    }
    if (!written.has(safe)) console.error(safe);
    written.add(safe);
  }

  /** Tells the server once about all that a page changes in one turn. */
  async function tellChange(): Promise<void> {
    if (isChanged) return;
    isChanged = true;
    await 0;
    isChanged = false;
    run.regroup();
  }

  const listener: Listener = {
    get state() {
      return run.state;
    },
    get transport() {
      return transport;
    },
    stop: () => run.feed({ type: 'stop' }),
    on(type, hear) {
      hearers.push([type, hear]);
      return listener;
    },
    off(type, hear) {
      hearers = hearers.filter(([heard, other]) => heard !== type || other !== hear);
      return listener;
    },
    subscribe(identifiers, options) {
      groups.push(readGroup(identifiers, { callback: first.callback, ...options }));
      tellChange();
      return listener;
    },
    unsubscribe(identifiers) {
      const names = ([] as string[]).concat(identifiers);
      for (const name of names) {
        for (const group of [...groups]) drop(name.toLowerCase(), group);
      }
      return listener;
    },
  };

  function drop(name: string, group: Group): void {
    const { spelling } = group;
    const spelled = spelling.get(name);
    if (!spelled) return;
    spelling.delete(name);
    if (!spelling.size) groups.splice(groups.indexOf(group), 1);
    // The key signs the whole list, so the server must go on to be asked for all of it.
    else if (group.secureKey) return;
    else if (Array.isArray(group.identifiers)) group.identifiers = [...spelling.values()];
    else delete group.identifiers[spelled];
    tellChange();
  }

  async function begin(): Promise<void> {
    await 0;
    if (isShared) {
      try {
        const share = await loadShare(url);
        await share(createRun, url, transports, ways, run.feed);
      } catch {
        tellError(
          'not_shared',
          'cometify.share.min.js did not load or work. This tab listens by itself.',
        );
      }
    }
    isChanged = false;
    run.start();
  }

  begin();
  return listener;
}
