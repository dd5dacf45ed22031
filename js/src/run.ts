/**
 * The machine, and around it what touches the world but not the page's code: the clock, chance, the
 * one timer, the one connection, the tokens, and the transport that is remembered.
 */
import type { ErrorFrame, Frame } from './frames';
import { type Group, listenFrame } from './group';
import { openHttp } from './http';
import { randomId } from './id';
import { createMachine, type Effect, type Input, type NoticeOf } from './machine';
import { watchPage } from './page';
import { isDue, renew } from './token';
import type { Line, Open, Way } from './transport';
import { openWebSocket } from './websocket';

/** The timer is this coarse at most, so that a machine that slept notices soon after it woke. */
const COARSE = 5_000;
/** For so long a transport that worked is the first to be tried on the next page. */
const REMEMBERED = 1_800_000;

/** A page whose token could not be had, and that is connected, asks for it again after so long or twice that. */
const REST = 5_000;

export type Ways = Record<Way, Open>;

export interface Run {
  feed(input: Input): void;
  /** From the first transport or the one that is remembered. */
  start(): void;
  /** The groups have changed. */
  regroup(): void;
}

export const WAYS = {
  websocket: openWebSocket,
  stream: openHttp,
  poll: openHttp,
} as Ways;

/** As what the server says, and as what the page is told. */
function tokenError(thrown: unknown): ErrorFrame & NoticeOf<'error'> {
  const detail = `token: a function that gives a JWT is needed, but: ${thrown}`;
  return { type: 'error', code: 'token_failed', detail, retry: 0, fatal: false };
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
  const machine = createMachine(groups, transports);
  const key = `cometify ${url}`;
  let line: Line = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let state = '';
  /** Before this no token is asked for while all goes on without. */
  let resting = 0;

  function feed(input: Input): void {
    for (const effect of machine.step(input, Date.now(), Math.random())) {
      // The page may have stopped this listener a moment ago, told of an effect before this one.
      if (state !== 'stopped') carry(effect);
    }
    arm(machine.deadline);
    if (state === 'connected' && Date.now() > resting && groups.some(isDue)) regroup();
  }

  /** The one timer, always set anew: a push moves the deadline, and this costs less than to compare. */
  function arm(deadline: number): void {
    clearTimeout(timer);
    if (deadline < Infinity) {
      timer = setTimeout(feed, Math.min(COARSE, deadline - Date.now()), { type: 'tick' });
    }
  }

  function carry(effect: Effect): void {
    const { type } = effect;
    if (type === 'close') line();
    else if (type === 'open') connect(effect);
    else if (type === 'listen') line(listenFrame(id, groups));
    else if (type === 'state') {
      state = effect.state;
      if (state === 'connected' && transports[1]) remember(effect.transport);
      if (state === 'stopped' || state === 'failed') unwatch();
    }
    act(effect);
  }

  async function connect({ transport, generation }: Extract<Effect, { type: 'open' }>) {
    let isOpen = true;
    const report = (frame: Frame): void => feed({ type: 'heard', generation, frame });
    line = () => {
      isOpen = false;
    };
    if (groups.some(isDue)) {
      try {
        await renew(groups);
      } catch (thrown) {
        return report(tokenError(thrown));
      }
    }
    if (isOpen) {
      line = ways[transport](url + transport, listenFrame(id, groups), report);
      report({ type: '(opened)' });
    }
  }

  /** With the tokens that it takes. Until they are here all goes on as it was. */
  function regroup(): void {
    resting = Infinity;
    renew(groups).then(
      () => {
        resting = 0;
        feed({ type: 'regroup' });
      },
      (thrown) => {
        resting = Date.now() + REST * (1 + Math.random());
        if (state !== 'stopped') act(tokenError(thrown));
      },
    );
  }

  /** Storage may be forbidden, or full. */
  function remember(transport: Way): void {
    try {
      sessionStorage[key] = `${Date.now()} ${transport}`;
    } catch {}
  }

  function recall(): number {
    try {
      const [time, transport] = sessionStorage[key].split(' ');
      if (Date.now() - time < REMEMBERED) return Math.max(0, transports.indexOf(transport));
    } catch {}
    return 0;
  }

  const unwatch = watchPage(
    (network) => feed({ type: 'wake', network }),
    () => feed({ type: 'hide' }),
  );
  return { feed, regroup, start: () => feed({ type: 'start', rung: recall() }) };
}
