/**
 * The attempts of a listener to have a connection: when one is opened, when it is given up, and when
 * the next one follows. Like the machine, they have no access to the world.
 *
 * A connection is one attempt: a WebSocket, one streamed answer, or one poll. Each has a number, its
 * generation. Reports of an older generation are ignored, because a connection that was closed may
 * still deliver what it had already received.
 *
 * One deadline is enough. It means that a connection was silent for too long, or that the wait before
 * the next one is over.
 */
import {
  type Connection,
  createConnection,
  hasServed,
  isSuspect,
  needsOwnConnection,
} from './connection';
import type { Effect } from './effects';
import type { ErrorFrame } from './frames';
import { type Group, isAnyJoining } from './group';
import { createLadder } from './ladder';
import { errorNotice } from './notices';
import { createLifecycle, type State, type StateEvent } from './states';
import {
  DEFAULT_HEARTBEAT,
  FIRST_DELAY,
  FIRST_FRAME_TIMEOUT,
  HEARTBEAT_GRACE,
  LONGEST_DELAY,
  PROOF,
} from './timing';
import { dropRefused, markRefused } from './token';
import type { Way } from './transport';

/** The step that the machine is taking. Each step collects its own effects, at one time. */
export interface Step {
  effects: Effect[];
  now: number;
  random: number;
}

export interface Attempts {
  readonly state: State;
  /** The connection in use, or the last one. */
  readonly connection: Connection;
  /** The number of the connection in use, or of the next one if there is none. */
  readonly generation: number;
  readonly deadline: number;
  isDue(): boolean;
  /** The first attempt, with the transport at this place of the list. */
  start(rung: number): void;
  connect(): void;
  /** Gives up the connection and any further attempt, until something else happens. */
  close(event: StateEvent): void;
  /** True if there is no group to listen to. The server would refuse a `listen` without any. */
  rest(): boolean;
  /** A WebSocket is told of a change of groups in another `listen`. HTTP must ask in a new request. */
  regroup(): void;
  /** The request is on its way, so the answer is due. */
  expectFirstFrame(): void;
  /** A frame was heard. After a while connected, earlier failures no longer count. */
  prove(): void;
  /** Notes a sign of life. `isAccepted`: it also shows that the server accepted the listener. */
  live(isAccepted?: boolean): void;
  /** The server has accepted the listener, and has told its heartbeat. */
  accept(heartbeat: number): void;
  /** An HTTP answer ended in good order. Ask for the next one, but not in a tight circle. */
  endAnswer(): void;
  /** The connection broke, or was silent for too long. `after`: a proxy asked for this delay. */
  lose(after?: number): void;
  /** The server refused the listener: for good, or for now. */
  refuse(error: ErrorFrame): void;
  /** The server asked the listener to come back after this delay. */
  postpone(after: number): void;
  /**
   * The page has a reason to believe that a connection works now. It need not wait for longer than the
   * server asked for, and an open connection may be dead without anybody having noticed.
   */
  wake(network: boolean): void;
}

/** Both lists may change: `regroup` tells of the groups, and the transports are read at each attempt. */
export function createAttempts(groups: Group[], transports: Way[], step: Step): Attempts {
  const lifecycle = createLifecycle();
  const ladder = createLadder(transports);

  let deadline = Infinity;
  /** The time at which the deadline was set. A clock that shows less was set back since. */
  let armedAt = 0;

  let connection = createConnection([], false, 0);
  let generation = 0;

  /** The time since which the page sees `connected`, over any number of polls or streams. */
  let connectedAt = 0;
  let heartbeat = DEFAULT_HEARTBEAT;
  /** Delays since a transport last proved itself. Each doubles the next. */
  let delays = 0;
  /** The server asked not to be called before this time. */
  let notBefore = 0;
  /** The code of the last error, so that the page hears it once and not at every attempt. */
  let lastError: string | undefined;

  // -------------------------------------------------------------- time and state

  function isDue(time = deadline): boolean {
    return step.now >= time || step.now < armedAt;
  }

  function arm(delay: number): void {
    armedAt = step.now;
    deadline = step.now + delay;
  }

  function change(event: StateEvent, after: number | null = null): void {
    if (!lifecycle.transition(event)) return;
    const { state } = lifecycle;
    step.effects.push({ type: 'state', state, transport: ladder.current(), after });
  }

  // -------------------------------------------------------------- opening and closing

  function leaveConnection(forNow: boolean): void {
    generation++;
    step.effects.push({ type: 'close', forNow });
  }

  function close(event: StateEvent): void {
    leaveConnection(false);
    armedAt = 0;
    deadline = Infinity;
    change(event);
  }

  function connect(): void {
    if (rest()) return;
    if (ladder.isTooLongBelow(step.now)) ladder.startOver();
    openConnection();
    change('connect');
  }

  function rest(): boolean {
    const isEmpty = !groups[0];
    if (isEmpty && lifecycle.state !== 'idle') close('empty');
    return isEmpty;
  }

  /** Opens a connection without a word to the page: polls and streams follow one another unseen. */
  function openConnection(): void {
    leaveConnection(true);
    const transport = ladder.current();
    // A poll that resumes is silent until there is a push, and a hub until the server has answered it.
    const mayBeSilent = transport === 'poll' || transport === 'shared';
    connection = createConnection([...groups], mayBeSilent && !isAnyJoining(groups), step.now);
    for (const group of groups) group.joined = connection.isPatient;
    // Longer than the first frame may take, because the page may have tokens to fetch first.
    arm(heartbeat + HEARTBEAT_GRACE);
    step.effects.push({ type: 'open', generation, transport });
  }

  function canListenAgain(): boolean {
    return (
      connection.hasBegun &&
      ladder.current() === 'websocket' &&
      !groups.some((group) => needsOwnConnection(group, connection))
    );
  }

  function live(isAccepted = connection.isPatient): void {
    connection.heardAt = step.now;
    connection.hasBegun = connection.hasBegun || isAccepted;
    if (!connection.hasBegun) return;
    ladder.succeed();
    lastError = undefined;
    arm(heartbeat + HEARTBEAT_GRACE);
    if (lifecycle.state !== 'connected') {
      connectedAt = step.now;
      change('accept');
    }
  }

  // -------------------------------------------------------------- the end of a connection

  function lose(after = 0): void {
    const isKept = ladder.lose(lifecycle.state === 'connected', step.now);
    // The first time through all transports there is no delay between them.
    if (isKept || after || ladder.isExhausted()) backOff(after);
    else connect();
    if (ladder.isUnreachable()) {
      tellError('unreachable', 'No answer. Check that the server runs and connect-src allows it.');
    }
  }

  /** Full jitter: listeners that lost their connection together do not come back together. */
  function backOff(atLeast: number): void {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** delays);
    delays++;
    waitFor(atLeast + step.random * longest, atLeast);
  }

  function waitFor(delay: number, atLeast: number): void {
    leaveConnection(true);
    notBefore = step.now + atLeast;
    arm(delay);
    change('pause', delay);
  }

  /** An error is told once, until a connection works again. */
  function tellError(code: string, detail: string, isFatal = false): void {
    if (isFatal || lastError !== code) step.effects.push(errorNotice(code, detail, isFatal));
    lastError = code;
  }

  return {
    get state() {
      return lifecycle.state;
    },
    get connection() {
      return connection;
    },
    get generation() {
      return generation;
    },
    get deadline() {
      return deadline;
    },
    isDue,
    connect,
    close,
    rest,
    live,
    lose,
    start(rung) {
      ladder.startAt(rung, step.now);
      connect();
    },
    regroup() {
      if (rest()) return;
      if (canListenAgain()) {
        connection.asked = [...groups];
        connection.unanswered.push(connection.asked);
        step.effects.push({ type: 'listen' });
      } else {
        openConnection();
        // Something new is asked for, so the answer to a poll may come at once and still be in order.
        connection.isFruitful = true;
      }
    },
    expectFirstFrame() {
      if (!connection.isPatient) arm(FIRST_FRAME_TIMEOUT);
    },
    prove() {
      if (lifecycle.state === 'connected' && step.now - connectedAt >= PROOF) {
        delays = 0;
        ladder.prove();
      }
    },
    accept(told) {
      heartbeat = told || heartbeat;
      live(true);
    },
    endAnswer() {
      if (!hasServed(connection, step.now)) lose();
      else if (ladder.isTooLongBelow(step.now)) connect();
      else openConnection();
    },
    refuse({ code, detail, retry }) {
      if (code === 'invalid_token') {
        // The token may just have expired, so the listener comes back once with another one.
        const isFirst = lastError !== code && markRefused(groups);
        const group = isFirst ? undefined : dropRefused(groups);
        if (group) step.effects.push({ type: 'deny', group, code, detail });
        if (group || isFirst) {
          lastError = code;
          retry = 0;
        }
      }
      // A page of private identifiers has no right while its token cannot be had. It is asked for again.
      const isFatal = retry === null && !groups.some(({ failures }) => failures);
      if (isFatal) close('refuse');
      else backOff((retry as number) * 1000 || 0);
      tellError(code, detail, isFatal);
    },
    // The server spreads the delays that it gives. A bare close code gives none.
    postpone(after) {
      waitFor(after || step.random * FIRST_DELAY, after);
    },
    wake(network) {
      // The network may be another one, and what the last one let through proves nothing about it.
      if (network) ladder.startOver();
      if (lifecycle.state !== 'waiting') {
        if (network || isSuspect(connection, heartbeat, step.now)) connect();
      } else if (isDue(notBefore)) connect();
      else deadline = notBefore;
    },
  };
}
