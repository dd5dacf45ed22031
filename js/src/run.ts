/**
 * The machine, and around it what touches the world but not the page's code: the clock, chance, the
 * one timer, the one connection, the tokens, and the transport that is remembered.
 */
import type { ErrorFrame, Frame } from './frames';
import { type Group, listenFrame } from './group';
import { randomId } from './id';
import { createMachine, type Effect, errorNotice, type Input, type NoticeOf } from './machine';
import { watchPage } from './page';
import { isDue, renew } from './token';
import type { Line, Open, Way } from './transport';

/** The timer is this coarse at most, so that a machine that slept notices soon after it woke. */
const COARSE = 5_000;
/** For so long a transport that worked is the first to be tried on the next page. */
const REMEMBERED = 1_800_000;

/** A page that is connected asks for a token again that has not come within so long. */
const REST = 10_000;

export type Ways = Record<Way, Open>;

export interface Run {
  feed(input: Input): void;
  /** From the first transport or the one that is remembered. */
  start(): void;
  /** The groups have changed. */
  regroup(): void;
}

/** As what the server says, and as what the page is told. */
function tokenError(thrown: unknown): ErrorFrame & NoticeOf<'error'> {
  return { ...errorNotice('token_failed', `token: ${thrown}`), retry: 0 };
}

/** `act` is told what came of it, unless the listener has stopped meanwhile. */
export function createRun(
  url: string,
  groups: Group[],
  transports: Way[],
  ways: Ways,
  act: (effect: Effect) => void,
): Run {
  const id = randomId();
  const step = createMachine(groups, transports);
  const key = `cometify ${url}`;
  let line: Line = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let state = '';
  /** The connection that is about to be opened: there may be a token to wait for. */
  let opening = 0;
  /** Before this no token is asked for while all goes on without. */
  let resting = 0;

  function feed(input: Input): void {
    const [effects, deadline] = step(input, Date.now(), Math.random());
    // Always set anew: a push moves the deadline, and this costs less than to compare.
    clearTimeout(timer);
    if (deadline < Infinity) {
      timer = setTimeout(feed, Math.min(COARSE, deadline - Date.now()), { type: 'tick' });
    }
    for (const effect of effects) {
      // The page may have stopped this listener a moment ago, told of an effect before this one.
      if (state !== 'stopped') carry(effect);
    }
    if (state === 'connected' && Date.now() > resting && groups.some(isDue)) regroup();
  }

  function carry(effect: Effect): void {
    const { type } = effect;
    if (type === 'close') {
      opening = 0;
      line('', effect.forNow);
    } else if (type === 'open') connect(effect);
    else if (type === 'listen') line(listenFrame(id, groups));
    else if (type === 'state') {
      state = effect.state;
      if (state === 'connected' && transports[1]) memory(effect.transport);
      if (/^[sf]/.test(state)) unwatch();
    }
    act(effect);
  }

  async function connect({ transport, generation }: Extract<Effect, { type: 'open' }>) {
    const report = (frame: Frame): void => feed({ type: 'heard', generation, frame });
    opening = generation;
    if (groups.some(isDue)) {
      resting = Date.now() + REST;
      try {
        await renew(groups);
        resting = 0;
      } catch (thrown) {
        return report(tokenError(thrown));
      }
    }
    if (opening === generation) {
      line = ways[transport](url + transport, listenFrame(id, groups), report);
      report({ type: '(opened)' });
    }
  }

  /** With the tokens that it takes. Until they are here all goes on as it was. */
  function regroup(): void {
    resting = Date.now() + REST;
    renew(groups).then(
      () => {
        resting = 0;
        feed({ type: 'regroup' });
      },
      (thrown) => {
        if (state !== 'stopped') act(tokenError(thrown));
      },
    );
  }

  /** What is remembered, and from now on if it is given. Storage may be forbidden, or full. */
  function memory(transport?: Way): [time?: number, transport?: Way] {
    try {
      if (transport) sessionStorage[key] = [Date.now(), transport];
      return sessionStorage[key].split(',');
    } catch {
      return [];
    }
  }

  function start(): void {
    const [time, transport] = memory();
    const isFresh = Date.now() - (time as number) < REMEMBERED;
    feed({ type: 'start', rung: isFresh ? transports.indexOf(transport as Way) : 0 });
  }

  const unwatch = watchPage(
    (network) => feed({ type: 'wake', network }),
    () => feed({ type: 'hide' }),
  );
  return { feed, regroup, start };
}
