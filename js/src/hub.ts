/**
 * The leading tab's part of a shared listener: it listens for all tabs, and is to each of them what
 * the server would be. Every `listen` of a tab is answered by a `ready` with the first cursor of
 * each group; from then on the tab is told what all are told, and takes what is above its own
 * cursors. So it can go on under another hub as it would after any lost connection.
 */
import { CUT, type ErrorFrame, type Frame, type ReadyFrame, type ReconnectFrame } from './frames';
import type { Asked, Group } from './group';
import type { Effect } from './machine';
import type { Run } from './run';
import { timeLeft } from './token';

/** So long what tabs ask for is gathered, to be asked of the server at once. */
const GATHER = 50;

/** What goes over the channel: whose hub's, and to which tab or all; or no hub's, and from which tab. */
export type Message = [hub: string, tab: string, said?: Asked[] | object];

export type MakeRun = (groups: Group[], act: (effect: Effect) => void) => Run;

interface Tab {
  asked: Asked[];
  /** Those that the server is asked for instead, in the same order. */
  groups?: Group[];
  /** It was given its `ready`. */
  told?: boolean;
}

/**
 * Whether a group brings all that is asked for, of which the tab then takes what is above its own
 * cursor. A new one with internal ids wants its replay, which one that has begun will not bring.
 */
function brings(group: Group, asked: Asked, token = group.token): boolean {
  const { identifiers, secureKey, position } = asked;
  return (
    JSON.stringify([group.identifiers, group.secureKey, token]) ===
      JSON.stringify([identifiers, secureKey, asked.token]) &&
    !group.isGap &&
    (position === undefined
      ? group.position === undefined || Array.isArray(identifiers)
      : position >= (group.position as number))
  );
}

function groupOf(asked: Asked): Group {
  const list = asked.identifiers;
  const names = Array.isArray(list) ? list : Object.keys(list);
  return { ...asked, spelling: new Map(names.map((name) => [name.toLowerCase(), name])) };
}

/** Milliseconds until the first of a tab's tokens expires. */
function tokenLeft({ asked }: Tab): number {
  return Math.min(...asked.map(({ token }) => (token ? timeLeft(token) || 0 : Infinity)));
}

/** Leads, until what it returns is called. */
export function lead(channel: BroadcastChannel, id: string, makeRun: MakeRun): () => void {
  const tabs = new Map<string, Tab>();
  const groups: Group[] = [];
  let run: Run | undefined;
  let isUp = false;
  let ready: Partial<ReadyFrame> = { type: 'ready' };
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** To one tab, or to all that were given their ready. Without a frame: this hub can be asked. */
  function say(tab: string, frame?: object): void {
    channel.postMessage([id, tab, frame]);
  }

  channel.onmessage = ({ data: [hub, from, asked] }: MessageEvent<Message>) => {
    if (hub) return;
    tabs.delete(from);
    if (asked) {
      tabs.set(from, { asked: asked as Asked[] });
      say(from, {});
    }
    timer = timer || setTimeout(gather, GATHER);
  };

  /** What the tabs ask for becomes what the server is asked for; the same once. */
  function gather(): void {
    timer = undefined;
    const known = [...groups];
    const used = new Set<Group>();
    let changed = false;
    for (const tab of tabs.values()) {
      tab.groups = (tab.groups || tab.asked).map((asked) => {
        let found = known.find((group) => brings(group, asked));
        if (!found) {
          // A tab that has a new token goes on where it is.
          found = known.find((group) => !isUsed(group) && brings(group, asked, asked.token));
          if (found) found.token = asked.token;
          else {
            found = tab.groups ? (asked as Group) : groupOf(asked);
            known.push(found);
          }
          changed = true;
        }
        used.add(found);
        return found;
      });
    }
    changed = changed || used.size < groups.length;
    groups.splice(0, groups.length, ...used);
    if (!run && groups[0]) {
      run = makeRun(groups, hear);
      run.start();
    } else if (run && changed) run.regroup();
    answer();
  }

  function isUsed(group: Group): boolean {
    return [...tabs.values()].some((tab) => tab.groups?.includes(group));
  }

  function hear(effect: Effect): void {
    if (effect.type === 'heard') pass(effect.frame);
    else if (effect.type === 'state') {
      const { state } = effect;
      isUp = state === 'connected';
      if (state === 'failed') run = undefined;
      if (isUp) {
        answer();
        say('');
        // What ended it, if that was said, is told first.
      } else if (state === 'waiting') Promise.resolve(CUT).then(end);
    }
  }

  function pass(frame: Frame): void {
    const { type } = frame;
    if (type === 'ready') ready = frame;
    answer();
    if (type === 'error' || type === 'reconnect') end(frame);
    else if (type === 'push' || type === 'heartbeat' || type === 'gap') say('', frame);
  }

  /** Tabs whose every group the server has begin here. */
  function answer(): void {
    for (const [to, tab] of tabs) {
      if (isUp && !tab.told && tab.groups?.every(({ joined }) => joined)) {
        tab.told = true;
        say(to, { ...ready, positions: tab.groups.map(({ position }) => position) });
      }
    }
  }

  /** Each tab comes back by itself; one whose token was refused with another, and the rest as they are. */
  function end(frame: ErrorFrame | ReconnectFrame | typeof CUT): void {
    const all = Array.from(tabs, ([to, tab]): [string, number] => [to, tokenLeft(tab)]);
    const least = Math.min(...all.map(([, left]) => left));
    const isToken = frame.type === 'error' && frame.code === 'invalid_token';
    for (const [to, left] of all) say(to, isToken && left > least ? CUT : frame);
  }

  say('');
  return () => {
    clearTimeout(timer);
    tabs.clear();
    channel.close();
    if (run) run.feed({ type: 'stop' });
  };
}
