/**
 * The attempts of a listener to have a connection: when one is opened, when it is given up, and when
 * the next one follows. Like the machine, they have no access to the world.
 *
 * A connection is one attempt: a WebSocket, one streamed answer, or one poll.
 *
 * One deadline is enough. It means that a connection was silent for too long, or that the wait before
 * the next one is over.
 */
import { createConnection, needsOwnConnection } from './connection';
import type { ErrorFrame, ReconnectFrame } from './frames';
import { type Group, isAnyJoining } from './group';
import { createLadder } from './ladder';
import { errorNotice } from './notices';
import { type State, type StateEvent, transition } from './states';
import type { Step } from './step';
import {
  DEFAULT_HEARTBEAT,
  EMPTY_ANSWER,
  FIRST_DELAY,
  FIRST_FRAME_TIMEOUT,
  HEARTBEAT_GRACE,
  HEARTBEAT_SUSPECT,
  LONGEST_DELAY,
  PROOF,
} from './timing';
import { dropRefused, markRefused } from './token';
import type { Way } from './transport';

export interface Attempts {
  readonly state: State;
  isDue(): boolean;
  /** The first attempt, with the transport at the given place of the list. */
  start(input: { rung: number | undefined }): void;
  /** Opens a connection, and tells the page of it. */
  tryNext(): void;
  /** Gives up the connection and any further attempt, until something else happens. */
  giveUp(event: StateEvent): void;
  /** True if there is no group to listen to. The server would refuse a `listen` without any. */
  rest(): boolean;
  /** A WebSocket is told of a change of groups in another `listen`. HTTP must ask in a new request. */
  relisten(): void;
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
  lose(how?: { type: string; after?: number }): void;
  /** The server refused the listener: for good, or for now. */
  refuse(error: ErrorFrame): void;
  /** The server asked the listener to come back after a delay. */
  postpone(reconnect: ReconnectFrame): void;
  /**
   * The page has a reason to believe that a connection works now. It need not wait for longer than the
   * server asked for, and an open connection may be dead without anybody having noticed.
   */
  wake(input: { network: boolean }): void;
}

/** Both lists may change: `regroup` tells of the groups, and the transports are read at each attempt. */
export function createAttempts(
  groups: Group[],
  transports: Way[],
  step: Step,
  server: string,
): Attempts {
  const ladder = createLadder(transports);

  let state: State = 'idle';

  /** The time at which the deadline was set. A clock that shows less was set back since. */
  let armedAt = 0;

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

  function isDue(time = step.deadline): boolean {
    return step.time >= time || step.time < armedAt;
  }

  function arm(delay: number): void {
    armedAt = step.time;
    step.deadline = step.time + delay;
  }

  function change(event: StateEvent, after: number | null = null): void {
    const next = transition(state, event);
    if (!next) return;
    state = next;
    step.effects.push({ type: 'state', state, transport: ladder.current(), after });
  }

  // -------------------------------------------------------------- opening and closing

  function leaveConnection(forNow: boolean): void {
    step.effects.push({ type: 'close', forNow });
  }

  function giveUp(event: StateEvent): void {
    leaveConnection(false);
    armedAt = 0;
    step.deadline = Infinity;
    change(event);
  }

  function tryNext(): void {
    if (rest()) return;
    if (ladder.isTooLongBelow(step.time)) ladder.startOver();
    openConnection();
    change('connect');
  }

  function rest(): boolean {
    const isEmpty = !groups[0];
    if (isEmpty && state !== 'idle') giveUp('empty');
    return isEmpty;
  }

  /** Opens a connection without a word to the page: polls and streams follow one another unseen. */
  function openConnection(): void {
    leaveConnection(true);
    const transport = ladder.current();
    // A poll that resumes is silent until there is a push, and a hub until the server has answered it.
    const mayBeSilent = transport === 'poll' || transport === 'shared';
    step.attempt = createConnection([...groups], mayBeSilent && !isAnyJoining(groups), step.time);
    for (const group of groups) group.joined = step.attempt.isPatient;
    // Longer than the first frame may take, because the page may have tokens to fetch first.
    arm(heartbeat + HEARTBEAT_GRACE);
    step.effects.push({ type: 'open', transport });
  }

  /** True if the next sign of life is late, but not so late that the client gives the connection up. */
  function isSuspect(): boolean | undefined {
    return (
      step.attempt.hasBegun &&
      step.time - (step.attempt.heardAt as number) > heartbeat + HEARTBEAT_SUSPECT
    );
  }

  /** True if the answer may end: the server accepted the listener, and sent something or made it wait. */
  function hasServed(): boolean | undefined {
    return (
      (step.attempt.hasBegun || step.attempt.isPatient) &&
      (step.attempt.isFruitful || step.time - step.attempt.openedAt >= EMPTY_ANSWER)
    );
  }

  function canListenAgain(): boolean | undefined {
    return (
      step.attempt.hasBegun &&
      ladder.current() === 'websocket' &&
      !groups.some((group) => needsOwnConnection(group, step.attempt))
    );
  }

  function live(isAccepted = step.attempt.isPatient): void {
    step.attempt.heardAt = step.time;
    step.attempt.hasBegun = step.attempt.hasBegun || isAccepted;
    if (!step.attempt.hasBegun) return;
    ladder.succeed();
    lastError = undefined;
    arm(heartbeat + HEARTBEAT_GRACE);
    if (state !== 'connected') {
      connectedAt = step.time;
      change('accept');
    }
  }

  // -------------------------------------------------------------- the end of a connection

  function lose({ after = 0 }: { after?: number } = {}): void {
    const isKept = ladder.lose(state === 'connected', step.time);
    // The first time through all transports there is no delay between them.
    if (isKept || after || ladder.isExhausted()) backOff(after);
    else tryNext();
    if (ladder.isUnreachable()) {
      tellError('unreachable', `No answer from ${server}. Check it and connect-src.`);
    }
  }

  /** Full jitter: listeners that lost their connection together do not come back together. */
  function backOff(atLeast: number): void {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** delays++);
    waitFor(atLeast + step.chance * longest, atLeast);
  }

  function waitFor(delay: number, atLeast: number): void {
    leaveConnection(true);
    notBefore = step.time + atLeast;
    arm(delay);
    change('pause', delay);
  }

  /** An error is told once, until a connection works again. */
  function tellError(code: string, detail: string, isFatal?: boolean): void {
    if (isFatal || lastError !== code) step.effects.push(errorNotice(code, detail, isFatal));
    lastError = code;
  }

  return {
    get state() {
      return state;
    },
    isDue,
    tryNext,
    giveUp,
    rest,
    live,
    lose,
    start({ rung }) {
      ladder.startAt(rung, step.time);
      tryNext();
    },
    relisten() {
      if (rest()) return;
      if (canListenAgain()) {
        step.attempt.asked = [...groups];
        step.attempt.unanswered.push(step.attempt.asked);
        step.effects.push({ type: 'listen' });
      } else {
        openConnection();
        // Something new is asked for, so the answer to a poll may come at once and still be in order.
        step.attempt.isFruitful = true;
      }
    },
    expectFirstFrame() {
      if (!step.attempt.isPatient) arm(FIRST_FRAME_TIMEOUT);
    },
    prove() {
      if (state === 'connected' && step.time - connectedAt >= PROOF) {
        delays = 0;
        ladder.prove();
      }
    },
    accept(told) {
      heartbeat = told || heartbeat;
      live(true);
    },
    endAnswer() {
      if (!hasServed()) lose();
      else if (ladder.isTooLongBelow(step.time)) tryNext();
      else openConnection();
    },
    refuse({ code, detail, retry }) {
      if (code === 'invalid_token') {
        // The token may just have expired, so the listener comes back once with another one. It waits for a
        // second, because one of the second in which its user was disconnected would be refused too.
        const isFirst = lastError !== code && markRefused(groups, step.time + 1000);
        // The second time one group goes on without its right.
        const group = isFirst || dropRefused(groups);
        if (group) {
          lastError = code;
          retry = 1;
          if (group !== true) step.effects.push({ type: 'deny', group, code, detail });
        }
      }
      // A replaced listener comes back under another id, and not at once, because a proxy may repeat that
      // request too. A page of private identifiers has no right while its token cannot be had. It is asked
      // for again.
      const isFatal =
        retry === null && code !== 'replaced' && !groups.some(({ failures }) => failures);
      if (isFatal) giveUp('refuse');
      else backOff((retry as number) * 1000);
      tellError(code, detail, isFatal);
    },
    // The server spreads the delays that it gives. A bare close code gives none.
    postpone({ after }) {
      waitFor(after || step.chance * FIRST_DELAY, after);
    },
    wake({ network }) {
      // The network may be another one, and what the last one let through proves nothing about it.
      if (network) ladder.startOver();
      if (state !== 'waiting') {
        if (network || isSuspect()) tryNext();
      } else if (isDue(notBefore)) tryNext();
      else step.deadline = notBefore;
    },
  };
}
