/**
 * The states of a listener, and the rule between them.
 *
 * Theory of operation
 * -------------------
 * A listener is always in one of six states. The page reads the state as `listener.state` and is
 * told of each change by `on('state')`.
 *
 *     idle        Nothing is asked for: not started yet, or every group was unsubscribed.
 *     connecting  A connection is being opened. The server has not accepted the listener on it yet.
 *     connected   The server has accepted the listener. Pushes arrive.
 *     waiting     There is no connection. The next attempt is due later, or when the page returns.
 *     failed      The server refused for a reason that repeating would not change. Only a change of the
 *                 groups is another request, and tries again.
 *     stopped     The page called `stop()`. Nothing follows.
 *
 * The usual life is idle, connecting, connected. A lost connection leads through waiting back to
 * connecting. A long poll or a stream whose answer ends in good order is followed by the next one
 * without leaving `connected`, because to the page nothing happened.
 *
 *     idle -> connecting -> connected -> stopped
 *                ^  |           |
 *                |  v           |
 *              waiting <--------+
 *
 * Only `stop()` is final. A refusal leads to `failed`, and a change of the groups leads back.
 *
 * Three layers, each of which knows only the one below:
 *
 *  1. This module holds the rule: which event leads from which state to which. The rule is data, so
 *     that a reader can check it line by line. An event that the table does not list for the current
 *     state is a bug in the client. It is refused: the state stays what it was.
 *  2. `machine.ts` reacts to inputs (a frame, a timer, a page that wakes), and `attempts.ts` turns
 *     the reactions into events and effects. The state is assigned in its `change` alone, and only what
 *     `transition` answers.
 *  3. `run.ts` and `listener.ts` carry the effects out, and show the state to the page.
 *
 * Several inputs are normal in a state where they change nothing, such as a timer that fires late.
 * `machine.ts` ignores those before they become an event, so the table stays strict.
 */

/** Replaced by the build: true in the tests, false in the files that the server hands out. */
declare const STRICT: boolean;

export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';

export type StateEvent =
  /** A connection is being opened. */
  | 'connect'
  /** The server has given a first sign that it accepted the listener. */
  | 'accept'
  /** The connection was lost, refused for now, or closed because the page is hidden. */
  | 'pause'
  /** The last group was unsubscribed. */
  | 'empty'
  /** The server refused, and said not to come back unchanged. */
  | 'refuse'
  /** The page called `stop()`. */
  | 'stop';

type Transitions = Readonly<Record<State, Readonly<Partial<Record<StateEvent, State>>>>>;

export const TRANSITIONS: Transitions = {
  idle: { connect: 'connecting', stop: 'stopped' },
  connecting: {
    // The next transport is tried at once, or the network has come back.
    connect: 'connecting',
    accept: 'connected',
    pause: 'waiting',
    empty: 'idle',
    refuse: 'failed',
    stop: 'stopped',
  },
  connected: {
    // The connection is given up for one that is believed to be better, without a pause.
    connect: 'connecting',
    pause: 'waiting',
    empty: 'idle',
    refuse: 'failed',
    stop: 'stopped',
  },
  // A page may be hidden while it waits, which pauses it again, this time without an end in sight.
  waiting: { connect: 'connecting', pause: 'waiting', empty: 'idle', stop: 'stopped' },
  stopped: {},
  // The page has changed its groups, so another request follows, or none.
  failed: { connect: 'connecting', empty: 'idle', stop: 'stopped' },
};

/** In these states nothing happens any longer by itself. */
export function hasEnded(state: State): boolean {
  return state === 'stopped' || state === 'failed';
}

/**
 * The state that the event leads to. Undefined if the table has no such transition. Only the tests throw
 * then. On a page it is logged, because a bug in the client must not break a visitor's page.
 */
export function transition(state: State, event: StateEvent): State | undefined {
  const next = TRANSITIONS[state][event];
  if (!next) {
    const bug = `Cometify bug: ${event} when ${state}`;
    if (STRICT) throw new Error(bug);
    console.error(bug);
  }
  return next;
}
