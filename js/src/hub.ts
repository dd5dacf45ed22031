/**
 * The leading tab's part of a shared listener. The hub listens for all tabs, and is to each of them
 * what the server would be.
 *
 * Each `listen` of a tab is answered by a `ready` with the first cursor of each group. From then on
 * the tab hears every frame, and takes what is above its own cursors. So it can go on under another
 * hub as it would after any lost connection.
 */

import type { Effect } from './effects';
import { CUT, type ErrorFrame, type Frame, type ReadyFrame, type ReconnectFrame } from './frames';
import { type Asked, brings, type Group, isExtended } from './group';
import type { Run } from './run';
import { trust } from './token';

/** For so many milliseconds the tabs' wishes are gathered, to ask the server once for all of them. */
const GATHERING = 50;

/**
 * A message on the channel of the tabs. Tabs may have clients of different versions.
 *
 * If `hub` is set, this hub speaks to `tab`, or to all tabs if `tab` is empty. If `hub` is empty, `tab`
 * speaks to the hub.
 */
export type Message = [hub: string, tab: string, said?: Asked[] | object];

export type MakeRun = (groups: Group[], act: (effect: Effect) => void) => Run;

interface Tab {
  asked: Asked[];
  /** The groups of the hub that stand for what was asked, in the same order. */
  groups?: Group[];
  /** The places of its refused groups, as text, in the last `ready` that it was given. */
  told?: string;
}

function groupOf(asked: Asked): Group {
  const list = asked.identifiers;
  const names = Array.isArray(list) ? list : Object.keys(list);
  return { ...asked, spelling: new Map(names.map((name) => [name.toLowerCase(), name])) };
}

/** The trust in the least trusted of a tab's tokens. Infinity without tokens. */
function trustIn({ asked, groups }: Tab): number {
  return Math.min(...(groups || asked.map(groupOf)).filter(({ token }) => token).map(trust));
}

/** Leads. Returns a function that ends it. */
export function lead(channel: BroadcastChannel, hubId: string, makeRun: MakeRun): () => void {
  const tabs = new Map<string, Tab>();
  const groups: Group[] = [];
  let run: Run | undefined;
  let lastReady: Partial<ReadyFrame> = { type: 'ready' };
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** To one tab, or to all that have their `ready`. Without a frame: this hub can be asked. */
  function say(tab: string, frame?: object): void {
    channel.postMessage([hubId, tab, frame]);
  }

  channel.onmessage = ({ data: [hub, from, asked] }: MessageEvent<Message>) => {
    if (hub) return;
    tabs.delete(from);
    if (asked) {
      tabs.set(from, { asked: asked as Asked[] });
      say(from, {});
    }
    timer = timer || setTimeout(gather, GATHERING);
  };

  /** Turns the wishes of all tabs into the groups that the server is asked for, each once. */
  function gather(): void {
    timer = undefined;
    const known = [...groups];
    const used = new Set<Group>();
    let isChanged = false;

    /** A known group that brings what is wished for, or else the wish itself. */
    function groupFor(wish: Group): Group {
      const fitting = known.filter((group) => brings(group, wish));
      let group = fitting.find(({ token }) => token === wish.token);
      if (!group) {
        isChanged = true;
        // A tab that has a new token goes on where it was.
        group = fitting.find((other) => !isUsed(other));
        if (group) group.token = wish.token;
        else {
          group = wish;
          known.push(group);
        }
      }
      used.add(group);
      return group;
    }

    for (const tab of tabs.values()) {
      tab.groups = (tab.groups || tab.asked.map(groupOf)).map(groupFor);
    }
    isChanged = isChanged || used.size < groups.length;
    // The oldest first, because the server refuses those that come last.
    groups.splice(0, groups.length, ...known.filter((group) => used.has(group)));
    if (run) {
      if (isChanged) run.relisten();
    } else if (groups[0]) {
      run = makeRun(groups, hear);
      run.start();
    }
    answer();
  }

  function isUsed(group: Group): boolean {
    return [...tabs.values()].some((tab) => tab.groups && tab.groups.includes(group));
  }

  function hear(effect: Effect): void {
    if (effect.type === 'heard') pass(effect.frame);
    else if (effect.type === 'state') {
      const { state } = effect;
      if (state === 'failed') run = undefined;
      if (state === 'connected') say('');
      // Later, so that the reason is told first if the server gave one.
      if (state === 'waiting') Promise.resolve(CUT).then(end);
    }
  }

  function pass(frame: Frame): void {
    const { type } = frame;
    if (type === 'ready') lastReady = frame;
    answer(true);
    if (type === 'error' || type === 'reconnect') end(frame);
    else if (type === 'push' || type === 'heartbeat' || type === 'gap') say('', frame);
  }

  /**
   * Gives a `ready` to each tab when the server has joined or refused every group of it. After a frame of
   * the server also another one, if the server has joined or refused other groups of it since.
   */
  function answer(isHeard?: boolean): void {
    if (!run || run.state !== 'connected') return;
    for (const [id, tab] of tabs) {
      const { groups: own, told } = tab;
      if (!own || !own.every(({ joined, isRefused }) => joined || isRefused)) continue;
      const refused = [...own.keys()].filter((place) => !(own[place] as Group).joined);
      if (told === undefined || (isHeard && told !== `${refused}`)) {
        tab.told = `${refused}`;
        const positions = own.map(({ position }) => position);
        say(id, { ...lastReady, positions, refused: lastReady.refused && refused });
      }
    }
  }

  /**
   * Ends the connection of each tab, which comes back by itself. If a token was refused, the tab with
   * the token that is trusted least is told so, and if an identifier was, the tabs that have such a one.
   * The others are only cut, and return as they are. If no tab is guilty, all are told, because the
   * server would refuse the same again and again.
   */
  function end(frame: ErrorFrame | ReconnectFrame | typeof CUT): void {
    const { code } = frame as Partial<ErrorFrame>;
    const all = [...tabs];
    const least = Math.min(...all.map(([, tab]) => trustIn(tab)));
    const guilty = all.filter(
      ([, tab]) =>
        (code !== 'invalid_identifier' || tab.asked.some(isExtended)) &&
        (code !== 'invalid_token' || trustIn(tab) <= least),
    );
    for (const one of all) say(one[0], !guilty[0] || guilty.includes(one) ? frame : CUT);
    // If another tab comes back first, the hub must not ask for what was refused again on its behalf.
    if (code) for (const [id] of guilty) tabs.delete(id);
  }

  say('');
  return () => {
    clearTimeout(timer);
    tabs.clear();
    channel.close();
    if (run) run.feed({ type: 'stop' });
  };
}
