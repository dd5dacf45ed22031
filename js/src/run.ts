/**
 * The shell around the machine. It holds everything that touches the world except the page's code:
 * the clock, chance, the one timer, the one connection, the tokens, and the remembered transport.
 */

import type { Effect, Input } from './effects';
import type { ErrorFrame, Frame } from './frames';
import { type Group, listenFrame } from './group';
import { randomId } from './id';
import { createMachine } from './machine';
import { watchPage } from './page';
import { hasEnded, type State } from './states';
import { isDue, renew, TOKEN_PATIENCE } from './token';
import type { Line, Open, Way } from './transport';

/**
 * The timer fires at least this often, so that a machine that slept notices soon after it woke, and a
 * token that failed is asked for again in time.
 */
const LONGEST_TIMER = 1_000;

/**
 * A page that mounts and unmounts components changes its groups often. After so many changes at once
 * the server is told of one in so many milliseconds, because it takes that many at most.
 */
const CHANGES_AT_ONCE = 20;
const CHANGE_EVERY = 1_000;

export type Ways = Record<Way, Open>;

export interface Run {
  readonly state: State;
  /** The id by which the server knows this listener. */
  id: string;
  feed(input: Input): void;
  /** Starts with the remembered transport, or else with the first. */
  start(): void;
  /** Tells the server about a change of the groups. */
  relisten(): void;
}

/** `act` is told of each effect, unless the listener was stopped meanwhile. */
export function createRun(
  url: string,
  groups: Group[],
  transports: Way[],
  ways: Ways,
  act: (effect: Effect) => void,
): Run {
  const machine = createMachine(groups, transports, url);
  const storageKey = `cometify ${url}`;
  /** The last connection, which may be closed already. */
  let line: Line | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /**
   * The report of the connection that is open, or waits for its tokens. No other is heard, because a
   * connection that was closed may still deliver what it had already received.
   */
  let heard: ((frame: Frame) => void) | undefined;
  /** The time up to which changes of the groups have used up what they may. */
  let spentUntil = 0;
  /** A change of the groups waits for its turn. */
  let isQueued = false;
  /** Before this time a connected listener does not ask for tokens again. */
  let restingUntil = 0;

  function feed(input: Input): void {
    const [effects, deadline] = machine.step(input, Date.now(), Math.random());
    schedule(deadline);
    for (const effect of effects) {
      // The page's code may have stopped the listener when it was told of an earlier effect.
      if (input.type === 'stop' || machine.state !== 'stopped') carry(effect);
    }
    if (machine.state === 'connected' && Date.now() > restingUntil && groups.some(isDue)) {
      relisten(false);
    }
  }

  /** Sets the timer again each time: a push moves the deadline, and comparing would cost more. */
  function schedule(deadline: number): void {
    clearTimeout(timer);
    if (deadline === Infinity) return;
    const delay = Math.min(LONGEST_TIMER, deadline - Date.now());
    timer = setTimeout(feed, delay, { type: 'tick' });
  }

  function carry(effect: Effect): void {
    const { type } = effect;
    if (type === 'close') {
      heard = undefined;
      if (line) line.close(effect.forNow);
    } else if (type === 'open') connect(effect);
    else if (type === 'listen') (line as Required<Line>).send(listenFrame(run.id, groups));
    else if (type === 'state') {
      if (effect.state === 'connected') remember(effect.transport);
      // While nothing is asked for, the page's events change nothing.
      watch(!hasEnded(effect.state));
    }
    // Another connection has this id now, perhaps because a proxy repeated a request. Two that have ids of
    // their own cannot end each other again.
    if ((effect as Partial<ErrorFrame>).code === 'replaced') run.id = randomId();
    else act(effect);
  }

  async function connect({ transport }: Extract<Effect, { type: 'open' }>) {
    function report(frame: Frame): void {
      if (heard === report) feed({ type: 'heard', frame });
    }
    heard = report;
    if (groups.some(isDue)) await renewAll();
    // Another connection may have taken over, or the listener may have been stopped. Or every group has
    // ended meanwhile, and the change that tells so waits for its turn.
    if (heard !== report || !groups[0]) return;
    line = ways[transport](url + transport, listenFrame(run.id, groups), report);
    report({ type: '(opened)' });
  }

  /** Until the tokens that it takes are here, everything goes on as it was. */
  async function relisten(isChanged = true): Promise<void> {
    // A listener that was stopped has nothing to ask the page for.
    if (machine.state === 'stopped') return;
    const hasToken = await renewAll();
    // A change that waits for its turn tells of all that has changed by then.
    if ((!hasToken && !isChanged) || isQueued) return;
    isQueued = true;
    await turn();
    isQueued = false;
    feed({ type: 'regroup' });
  }

  /** Waits until a change may be told: each takes a second of a time that is never far in the past. */
  async function turn(): Promise<void> {
    const now = Date.now();
    // The clock may have been set back.
    spentUntil = Math.max(Math.min(spentUntil, now), now - CHANGES_AT_ONCE * CHANGE_EVERY);
    spentUntil += CHANGE_EVERY;
    if (spentUntil > now) await new Promise((resolve) => setTimeout(resolve, spentUntil - now));
  }

  async function renewAll(): Promise<boolean> {
    restingUntil = Date.now() + TOKEN_PATIENCE;
    const hasToken = await renew(groups, (group, thrown) => {
      const detail = `No token: ${thrown}`;
      if (!hasEnded(machine.state)) act({ type: 'deny', group, code: 'token_failed', detail });
      feed({ type: 'tick' });
    });
    restingUntil = 0;
    return hasToken;
  }

  /** Storage may be forbidden or full. Then nothing is remembered, and nothing else changes. */
  function remember(transport: Way): void {
    // A listener with one transport has no choice to remember.
    if (!transports[1]) return;
    try {
      sessionStorage[storageKey] = transport;
    } catch {}
  }

  /** The place in the list of the remembered transport: -1 if it is not there, undefined without storage. */
  function rememberedRung(): number | undefined {
    try {
      return transports.indexOf(sessionStorage[storageKey]);
    } catch {
      return undefined;
    }
  }

  const watch = watchPage(
    (network) => feed({ type: 'wake', network }),
    () => feed({ type: 'hide' }),
  );
  const run: Run = {
    get state() {
      return machine.state;
    },
    id: randomId(),
    feed,
    relisten,
    start: () => feed({ type: 'start', rung: rememberedRung() }),
  };
  return run;
}
