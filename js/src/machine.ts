/**
 * The decisions of a listener, without any access to the world.
 *
 * The machine has no timer, socket, page, clock or source of chance. Its input says what happened,
 * at which time, and brings a random number. Its answer is a list of effects to carry out. So every
 * order of events can be written down as a table and tested without waiting. `states.ts` explains
 * the states and holds the rule between them.
 *
 * Two things are worth knowing before reading on.
 *
 * A connection is one attempt: a WebSocket, one streamed answer, or one poll. Each has a number, its
 * generation. Reports of an older generation are ignored, because a connection that was closed may
 * still deliver what it had already received.
 *
 * Effects on the network come before effects on the page, because the page's code may call back in.
 */
import { createConnection, isSuspect, needsOwnConnection } from './connection';
import { takeGap, takeHeartbeat, takePush, takeReady } from './cursors';
import type { Effect, Input, Machine } from './effects';
import type {
  ErrorFrame,
  Frame,
  GapFrame,
  HeartbeatFrame,
  PushFrame,
  ReadyFrame,
  ReconnectFrame,
} from './frames';
import type { Group } from './group';
import { createLadder } from './ladder';
import { errorNotice } from './notices';
import { createLifecycle, type State, type StateEvent } from './states';
import {
  DEFAULT_HEARTBEAT,
  EMPTY_ANSWER,
  FIRST_DELAY,
  FIRST_FRAME_TIMEOUT,
  HEARTBEAT_GRACE,
  LONGEST_DELAY,
  PROOF,
} from './timing';
import { markRefused } from './token';
import type { Way } from './transport';

type Handlers = { [T in Input['type']]?: (input: Extract<Input, { type: T }>) => void };
type Readers = { [T in Frame['type']]: (frame: Extract<Frame, { type: T }>) => void };

/** Both lists may change: `regroup` tells of the groups, and the transports are read at each attempt. */
export function createMachine(groups: Group[], transports: Way[]): Machine {
  const lifecycle = createLifecycle();
  const ladder = createLadder(transports);

  // The step that is being taken.
  let effects: Effect[] = [];
  let now = 0;
  let random = 0;

  let deadline = Infinity;
  /** The time at which the deadline was set. A clock that shows less was set back since. */
  let armedAt = 0;

  let connection = createConnection([], false, now);
  /** The number of the connection in use, or of the next one if there is none. */
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

  const stop = (): void => close('stop');
  const whileConnected: Handlers = {
    heard: hear,
    tick: loseConnection,
    wake,
    regroup,
    hide: () => close('pause'),
    stop,
  };

  /** The reaction of each state to each input. An input that is not listed is ignored. */
  const HANDLERS: Record<State, Handlers> = {
    idle: { start, regroup: connect, stop },
    connecting: whileConnected,
    connected: whileConnected,
    // The next attempt reads the groups, so a change of them matters only if none is left.
    waiting: { tick: connect, wake, regroup: rest, hide: () => close('pause'), stop },
    stopped: {},
    failed: { stop },
  };

  /** The reaction to each frame. A type that is not listed comes from a newer server. */
  const READERS: Readers = {
    ready: readReady,
    push: readPush,
    heartbeat: readHeartbeat,
    gap: readGap,
    error: readError,
    reconnect: readReconnect,
    '(cut)': loseConnection,
    '(opened)': expectFirstFrame,
    '(whole)': endAnswer,
  };

  // -------------------------------------------------------------- time and state

  function isDue(time: number): boolean {
    return now >= time || now < armedAt;
  }

  function arm(delay: number): void {
    armedAt = now;
    deadline = now + delay;
  }

  function disarm(): void {
    armedAt = 0;
    deadline = Infinity;
  }

  function change(event: StateEvent, after: number | null = null): void {
    if (!lifecycle.transition(event)) return;
    effects.push({ type: 'state', state: lifecycle.state, transport: ladder.current(), after });
  }

  // -------------------------------------------------------------- opening and closing

  function leaveConnection(forNow: boolean): void {
    generation++;
    effects.push({ type: 'close', forNow });
  }

  function close(event: StateEvent): void {
    leaveConnection(false);
    disarm();
    change(event);
  }

  function start({ rung }: { rung: number }): void {
    ladder.startAt(rung, now);
    connect();
  }

  function connect(): void {
    if (rest()) return;
    if (ladder.isTooLongBelow(now)) ladder.startOver();
    openConnection();
    change('connect');
  }

  /** True if there is no group to listen to. The server would refuse a `listen` without any. */
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
    connection = createConnection([...groups], mayBeSilent && !isAnyJoining(), now);
    for (const group of groups) group.joined = connection.isPatient;
    // Longer than the first frame may take, because the page may have tokens to fetch first.
    arm(heartbeat + HEARTBEAT_GRACE);
    effects.push({ type: 'open', generation, transport });
  }

  function expectFirstFrame(): void {
    if (!connection.isPatient) arm(FIRST_FRAME_TIMEOUT);
  }

  function isAnyJoining(): boolean {
    return groups.some((group) => group.position === undefined);
  }

  // -------------------------------------------------------------- groups

  /** A WebSocket is told of the change in another `listen`. HTTP must ask in a new request. */
  function regroup(): void {
    if (rest()) return;
    if (canListenAgain()) {
      connection.asked = [...groups];
      connection.unanswered.push(connection.asked);
      effects.push({ type: 'listen' });
    } else {
      openConnection();
      // Something new is asked for, so the answer to a poll may come at once and still be in order.
      connection.isFruitful = true;
    }
  }

  function canListenAgain(): boolean {
    return (
      connection.hasBegun &&
      ladder.current() === 'websocket' &&
      !groups.some((group) => needsOwnConnection(group, connection))
    );
  }

  // -------------------------------------------------------------- frames

  function hear({ frame }: { frame: Frame }): void {
    noteProof();
    const read = READERS[frame.type] as ((frame: Frame) => void) | undefined;
    if (read) read(frame);
    effects.push({ type: 'heard', frame });
  }

  /** After a while connected, the transport is proven and earlier failures no longer count. */
  function noteProof(): void {
    if (lifecycle.state === 'connected' && now - connectedAt >= PROOF) {
      delays = 0;
      ladder.prove();
    }
  }

  /** Notes a sign of life. `isAccepted`: it also shows that the server accepted the listener. */
  function noteLife(isAccepted = connection.isPatient): void {
    connection.heardAt = now;
    connection.hasBegun = connection.hasBegun || isAccepted;
    if (!connection.hasBegun) return;
    ladder.succeed();
    lastError = undefined;
    arm(heartbeat + HEARTBEAT_GRACE);
    if (lifecycle.state !== 'connected') {
      connectedAt = now;
      change('accept');
    }
  }

  function readReady(frame: ReadyFrame): void {
    heartbeat = frame.heartbeat * 1000 || heartbeat;
    noteLife(true);
    connection.isFruitful = connection.isFruitful || isAnyJoining();
    // A `ready` that answers no `listen` tells that the listener lost or won a right.
    takeReady(connection.unanswered.shift() || connection.asked, frame.positions);
    for (const detail of frame.warnings || []) effects.push(errorNotice('warning', detail));
  }

  function readPush(push: PushFrame): void {
    noteLife();
    for (const group of takePush(groups, push)) {
      connection.isFruitful = true;
      effects.push({ type: 'push', group, push });
    }
  }

  function readHeartbeat({ position }: HeartbeatFrame): void {
    noteLife();
    takeHeartbeat(groups, position);
  }

  function readGap({ identifiers }: GapFrame): void {
    noteLife();
    connection.isFruitful = true;
    for (const group of groups) {
      const affected = takeGap(group, identifiers);
      if (affected[0]) effects.push({ type: 'gap', identifiers: affected });
    }
  }

  function readError({ code, detail, retry }: ErrorFrame): void {
    // The token may just have expired, so the listener may come back once, with another one.
    if (code === 'invalid_token' && lastError !== code && markRefused(groups)) {
      lastError = code;
      retry = 0;
    }
    const isFatal = retry === null;
    if (isFatal) close('refuse');
    else backOff((retry as number) * 1000 || 0);
    tellError(code, detail, isFatal);
  }

  /** The server spreads the delays that it gives. A bare close code gives none. */
  function readReconnect({ after }: ReconnectFrame): void {
    waitFor(after || random * FIRST_DELAY, after);
  }

  /** An error is told once, until a connection works again. */
  function tellError(code: string, detail: string, isFatal = false): void {
    if (isFatal || lastError !== code) effects.push(errorNotice(code, detail, isFatal));
    lastError = code;
  }

  // -------------------------------------------------------------- the end of a connection

  /** An HTTP answer ended in good order. Ask for the next one, but not in a tight circle. */
  function endAnswer(): void {
    const { hasBegun, isPatient, isFruitful, openedAt } = connection;
    const isInOrder = hasBegun || isPatient;
    const isWorthAsking = isFruitful || now - openedAt >= EMPTY_ANSWER;
    if (!isInOrder || !isWorthAsking) loseConnection({});
    else if (ladder.isTooLongBelow(now)) connect();
    else openConnection();
  }

  /** The connection broke, or was silent for too long. `after`: a proxy asked for this delay. */
  function loseConnection({ after = 0 }: { after?: number; type?: string }): void {
    const isKept = ladder.lose(lifecycle.state === 'connected', now);
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
    waitFor(atLeast + random * longest, atLeast);
  }

  function waitFor(delay: number, atLeast: number): void {
    leaveConnection(true);
    notBefore = now + atLeast;
    arm(delay);
    change('pause', delay);
  }

  // -------------------------------------------------------------- the page

  /**
   * The page has a reason to believe that a connection works now. It need not wait for longer than the
   * server asked for, and an open connection may be dead without anybody having noticed.
   */
  function wake({ network }: { network: boolean }): void {
    // The network may be another one, and what the last one let through proves nothing about it.
    if (network) ladder.startOver();
    if (lifecycle.state !== 'waiting') {
      if (network || isSuspect(connection, heartbeat, now)) connect();
    } else if (isDue(notBefore)) connect();
    else deadline = notBefore;
  }

  function isForUs(input: Input): boolean {
    if (input.type === 'heard') return input.generation === generation;
    return input.type !== 'tick' || isDue(deadline);
  }

  return {
    get state() {
      return lifecycle.state;
    },
    step(input, time, chance) {
      effects = [];
      now = time;
      random = chance;
      const handle = HANDLERS[lifecycle.state][input.type] as ((input: Input) => void) | undefined;
      if (handle && isForUs(input)) handle(input);
      return [effects, deadline];
    },
  };
}
