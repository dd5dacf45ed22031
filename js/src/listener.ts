/**
 * The objects that a page holds: a connection, and each of its subscriptions. They tell the page's code
 * what happens.
 *
 * A subscription belongs to a group, which is what the server is asked for. Subscriptions that ask for
 * the same share one group, so that a page may mount a component many times. Each ends by itself, and
 * the group ends with the last one.
 */
import { lookUp, safely } from './callback';
import { openEdge } from './edge';
import type { Effect } from './effects';
import { brings, type Callback, type Group, type Identifiers, isExtended } from './group';
import { openHttp } from './http';
import { loadShare } from './load';
import { errorNotice, LIKE_A_NOTICE, NOTICES, type Notice, type NoticeOf } from './notices';
import { readSubscription, type Settings, type SubscribeOptions } from './options';
import { createRun, type Ways } from './run';
import type { Connection, Listener } from './subscription';
import { checkNames } from './teach';
import type { Way } from './transport';
import { openWebSocket } from './websocket';

/** Replaced by the build: true in the module, which can poll through the edge. */
declare const EDGE: boolean;

/** Somebody who is told: the connection if there is no group, or else a subscription. */
interface Member {
  group: Group | undefined;
}

type Hearer = [member: Member, type: string, hear: (notice: never) => void];

/** Starts after the page's code that calls this has run, so that a handler added by it misses nothing. */
export function startListener({
  url,
  group: first,
  callback: ownCallback,
  ways: transports,
  isShared,
}: Settings): Connection {
  const groups: Group[] = [];
  let members: Member[] = [];
  let hearers: Hearer[] = [];
  const ways = { websocket: openWebSocket, stream: openHttp, poll: openHttp } as Ways;
  if (EDGE && first.edge) ways.poll = openEdge(first.edge);
  let transport = transports[0] as Way;
  /** Texts that were written to the console, each of which is written once. */
  const written = new Set<string>();
  /** The groups have changed in this turn. Before the start no change needs to be told. */
  let isChanged = true;

  const run = createRun(url, groups, transports, ways, (effect) => {
    const { type } = effect;
    if (type === 'push') deliver(effect);
    else if (type === 'gap') notify({ type, identifiers: effect.identifiers }, effect.group);
    else if (type === 'deny') tellError(effect.code, effect.detail, effect.group);
    else if (type === 'error') takeError(effect);
    else if (type === 'state') notify(effect);
  });

  // -------------------------------------------------------------- telling the page

  function deliver({ group, push }: Extract<Effect, { type: 'push' }>): void {
    const { text, data = text, push_id: id, event = null, position } = push;
    const identifier = group.spelling.get(push.identifier) as string;
    notify({ type: 'push', data, id, event, identifier, position }, group);
  }

  function tellError(code: string, detail: string, group?: Group): void {
    const notice = errorNotice(code, detail);
    if (group) notice.identifiers = [...group.spelling.values()];
    notify(notice, group);
  }

  /** The connection has failed if the error is fatal. A change of the groups brings it back. */
  function takeError(notice: NoticeOf<'error'>): void {
    const { code, detail } = notice;
    const wrong = code === 'invalid_identifier' ? groups.filter(isExtended) : [];
    for (const group of wrong) {
      tellError(code, detail, group);
      endGroup(group);
    }
    if (!wrong[0]) notify(notice);
  }

  /** Tells the connection, and the subscriptions of this group or else all of them. */
  function notify(notice: Notice, about?: Group): void {
    const { type, event } = notice as { type: string; event?: string };
    const addressed = hearers.filter(
      ([{ group }, heard]) =>
        (heard === type || (heard === event && !NOTICES.includes(heard))) &&
        (!about || !group || group === about),
    );
    let isLast = false;
    if (notice.type === 'state') {
      transport = notice.transport;
      isLast = notice.state === 'stopped';
      if (isLast) members = hearers = [];
    }
    for (const hearer of addressed) {
      // An earlier handler may have removed this one. A connection's end is still told.
      if (isLast || hearers.includes(hearer)) safely(() => hearer[2](notice as never));
    }
    if (notice.type === 'error' && !addressed[0]) write(`${notice.code}: ${notice.detail}`);
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

  // -------------------------------------------------------------- subscriptions that come and go

  function isMember(member: Member): boolean {
    return members.includes(member);
  }

  /** Tells the server once about all that a page changes in one turn. */
  async function tellChange(): Promise<void> {
    if (isChanged) return;
    isChanged = true;
    await 0;
    isChanged = false;
    run.relisten();
  }

  /** A group that brings what is wished for, or else the wish itself. */
  function groupFor(wish: Group): Group {
    const { source, spelling } = wish;
    const known = groups.find(
      (group) =>
        group.source === source && group.spelling.size === spelling.size && brings(group, wish),
    );
    if (known) return known;
    groups.push(wish);
    tellChange();
    return wish;
  }

  /** The callback is the first handler of a subscription. */
  function join(group: Group, callback: Callback | string): Listener {
    const member: Member = { group: groupFor(group) };
    return handleOf(member).on('push', ({ data, id, identifier }) => {
      const call = lookUp(callback);
      if (call) call(data, id, identifier);
      else {
        tellError('no_callback', `Declare a global function ${callback}.`, member.group);
      }
    });
  }

  /** Ends a subscription, and its group with the last one. */
  function end(member: Member): void {
    if (!isMember(member)) return;
    members = members.filter((other) => other !== member);
    hearers = hearers.filter(([other]) => other !== member);
    const { group } = member;
    if (!members.some((other) => other.group === group)) {
      groups.splice(groups.indexOf(group as Group), 1);
      tellChange();
    }
  }

  function endGroup(group: Group): void {
    for (const member of members) if (member.group === group) end(member);
  }

  function drop(name: string, group: Group): void {
    const { spelling } = group;
    const spelled = spelling.get(name);
    if (!spelled) return;
    spelling.delete(name);
    if (!spelling.size) {
      endGroup(group);
      return;
    }
    // The key signs the whole list, so the server must go on to be asked for all of it.
    if (group.secureKey) return;
    if (Array.isArray(group.identifiers)) group.identifiers = [...spelling.values()];
    else delete group.identifiers[spelled];
    tellChange();
  }

  function handleOf(member: Member): Listener {
    members.push(member);
    return {
      get state() {
        return isMember(member) ? run.state : 'stopped';
      },
      get transport() {
        return transport;
      },
      get listener() {
        return run.id;
      },
      get position() {
        return member.group && member.group.position;
      },
      stop: () => (member.group ? end(member) : run.feed({ type: 'stop' })),
      on(type, hear, { signal } = {}) {
        if (LIKE_A_NOTICE.test(type)) checkNames({ [type]: hear }, NOTICES);
        const hearer: Hearer = [member, type, hear];
        if (isMember(member) && !(signal && signal.aborted)) hearers.push(hearer);
        if (signal) {
          signal.addEventListener('abort', () => {
            hearers = hearers.filter((other) => other !== hearer);
          });
        }
        return this;
      },
      off(type, hear) {
        hearers = hearers.filter(
          ([other, heard, had]) => other !== member || heard !== type || had !== hear,
        );
        return this;
      },
      subscribe: <F>(identifiers: Identifiers, options: SubscribeOptions | Callback = {}) => {
        const { callback = typeof options === 'function' ? options : ownCallback } =
          options as SubscribeOptions;
        return join(
          readSubscription(identifiers, options as SubscribeOptions),
          callback,
        ) as Listener<F>;
      },
      unsubscribe(identifiers) {
        for (const name of ([] as string[]).concat(identifiers)) {
          for (const group of [...groups]) drop(name.toLowerCase(), group);
        }
        return this;
      },
    };
  }

  async function begin(): Promise<void> {
    await 0;
    if (isShared) {
      try {
        const share = await loadShare(url);
        await share(createRun, url, transports, ways, run.feed);
      } catch {
        tellError('not_shared', 'cometify.share.min.js failed. This tab listens alone.');
      }
    }
    isChanged = false;
    run.start();
  }

  const connection = handleOf({ group: undefined });
  if (first.spelling.size) join(first, ownCallback);
  begin();
  return connection;
}
