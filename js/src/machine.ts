/**
 * The listener's states, and nothing else: no timer, socket, page, clock or chance is in here. An
 * input tells what happened, when, and a random number; the answer is what to do about it. So
 * whatever can happen, in whatever order, is a table to read and a test without waiting.
 *
 * What goes to the network comes before what goes to the page, for the page's code may call back in.
 */
import { takeGap, takeHeartbeat, takePush, takeReady } from './cursors';
import type { ErrorFrame, Frame, PushFrame, PushId, ReadyFrame } from './frames';
import type { Group } from './group';
import { expire } from './token';
import type { Way } from './transport';

export type State = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';

/** A transport that has shown no first frame by then is blocked, or buffered on the way. */
export const FIRST_FRAME = 5_000;
/** How much later than the server's heartbeat nothing at all means that nothing will come. */
export const GRACE = 10_000;
/** How late a heartbeat makes a connection suspect when there is a reason to look. */
export const SUSPECT = 2_000;
/** Connected for so long, a transport has proven itself. */
export const PROOF = 5_000;
/** A transport that connects but breaks before its proof is left after so many times. */
export const BRIEF = 3;
/**
 * An HTTP answer that was whole sooner than this and brought nothing is not asked for again at once.
 * Well below the shortest heartbeat, after which a poll of a quiet identifier comes back like that.
 */
export const EMPTY = 500;
/** The first and the longest delay before connecting again, which chance then shortens. */
export const BACKOFF = 1_000;
export const LONGEST = 30_000;
/** Back at the first transport after so long on a later one, when there is nothing to interrupt. */
export const LOWER = 600_000;
/** So many failures in a row are worth a word: each transport once, or a loss and three attempts. */
export const UNREACHABLE = 4;

export type Input =
  /** `rung`: the place in the list of transports to begin with. */
  | { type: 'start'; rung: number }
  | { type: 'stop' }
  /** The groups are others, or their keys are. */
  | { type: 'regroup' }
  /** The deadline may have come. */
  | { type: 'tick' }
  /** The page is looked at again, or (`network`) the browser is online again. */
  | { type: 'wake'; network: boolean }
  /** The page is left, perhaps to come back. */
  | { type: 'hide' }
  /** A connection reports; `generation` says which. */
  | { type: 'heard'; generation: number; frame: Frame };

/** What the page is told by `on`. */
export type Notice =
  /** `after`: when waiting, how many milliseconds until it connects again. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | { type: 'push'; data: string; id: PushId; identifier: string; position: number }
  /** Pushes to these identifiers may have been lost: ask your own server what they were. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: it does not come back by itself. */
  | { type: 'error'; code: string; detail: string; fatal: boolean };

export function errorNotice(code: string, detail: string, fatal = false): NoticeOf<'error'> {
  return { type: 'error', code, detail, fatal };
}

export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>;

export type Effect =
  | Exclude<Notice, { type: 'push' }>
  /** `forNow`: it will be opened again, now or after a while. */
  | { type: 'close'; forNow: boolean }
  | { type: 'open'; generation: number; transport: Way }
  /** Say `listen` again, on the same connection. */
  | { type: 'listen' }
  | { type: 'push'; group: Group; push: PushFrame }
  /** It was heard, and everything above is what it brought about. */
  | { type: 'heard'; frame: Frame };

/**
 * Takes one input, the time it came at, and a number from [0, 1). The effects are to be carried out in
 * their order. And when to tick next; Infinity when there is nothing to wait for.
 */
export type Machine = (
  input: Input,
  time: number,
  chance: number,
) => [effects: Effect[], deadline: number];

type Handlers = { [T in Input['type']]?: (input: Extract<Input, { type: T }>) => void };

/** Both lists may change: `regroup` says so of the one, and the other is read anew at each attempt. */
export function createMachine(groups: Group[], transports: Way[]): Machine {
  let effects: Effect[] = [];
  let now = 0;
  let random = 0;
  let state: State = 'idle';
  let deadline = Infinity;
  /** When the deadline was set: a clock that shows less was set back, and the deadline means nothing. */
  let armed = 0;
  /** The transport in use, as its place in the list. */
  let rung = 0;
  /** When it became a later one than the first. */
  let lowered = 0;
  /** Counts connections: what an older one still has to say is not listened to. */
  let generation = 0;
  /** What was asked for last. */
  let asked: Group[] = [];
  /** What each `listen` asked for that has not been answered by a `ready` yet. */
  let owed: Group[][] = [];
  /** The connection has given its first frame. */
  let begun = false;
  /** It is a poll that resumes in every group: no `ready` is owed, and silence is patience. */
  let patient = false;
  /** It has brought something: a first cursor, a push, a gap. */
  let fruitful = false;
  let opened = 0;
  let heard = 0;
  /** Since when the state is `connected`, over many polls or streams. */
  let since = 0;
  let heartbeat = 25_000;
  /** Delays since the last time it went well. */
  let delays = 0;
  /** Failures since the last first frame. */
  let failures = 0;
  /** Connections in a row that this transport has lost before its proof; below 0 it is proven. */
  let brief = 0;
  /** Before this nothing makes it connect: the server said so. */
  let notBefore = 0;
  /** The last error told, so that it is told once and not at every attempt. */
  let told: string | undefined;

  const stop = () => close('stopped');

  const open: Handlers = {
    heard: hear,
    tick: fall,
    wake,
    regroup,
    hide: () => close('waiting'),
    stop,
  };

  /** What each state does about each input; what is not here is not listened to. */
  const table: Record<State, Handlers> = {
    idle: { start, regroup: connect, stop },
    connecting: open,
    connected: open,
    // What it is to ask for is looked at when it does.
    waiting: { ...open, tick: connect, regroup() {} },
    stopped: {},
    failed: { stop },
  };

  function isDue(time: number): boolean {
    return now >= time || now < armed;
  }

  function arm(delay: number): void {
    armed = now;
    deadline = now + delay;
  }

  function enter(next: State, after: number | null = null): void {
    state = next;
    effects.push({ type: 'state', state, transport: current(), after });
  }

  function leave(forNow = true): void {
    generation++;
    effects.push({ type: 'close', forNow });
  }

  function close(next: State): void {
    leave(false);
    deadline = Infinity;
    armed = 0;
    enter(next);
  }

  function start({ rung: first }: { rung: number }): void {
    rung = transports[first] ? first : 0;
    lowered = now;
    connect();
  }

  function connect(): void {
    if (isLong()) forget();
    ask();
    enter('connecting');
  }

  /** Opens a connection without a word to the page: polls and streams follow one another unseen. */
  function ask(): void {
    leave();
    begun = fruitful = false;
    patient = /^[ps][oh]/.test(current()) && !joining();
    opened = heard = now;
    asked = [...groups];
    owed = [asked];
    for (const group of groups) group.joined = patient;
    // There may be tokens to wait for first.
    arm(heartbeat + GRACE);
    effects.push({ type: 'open', generation, transport: current() });
  }

  /**
   * A WebSocket is told on the spot. But the server lets an identifier that it has go on, so a group
   * that begins elsewhere with one needs a connection of its own; and HTTP must ask anew.
   */
  function regroup(): void {
    if (!groups[0]) close('idle');
    else if (!begun || current() !== 'websocket' || groups.some(overlaps)) {
      ask();
      // A poll may be answered at once, for it asks what was not asked before.
      fruitful = true;
    } else {
      asked = [...groups];
      owed.push(asked);
      effects.push({ type: 'listen' });
    }
  }

  function overlaps(group: Group): boolean {
    return (
      !asked.includes(group) &&
      (!Array.isArray(group.identifiers) || group.position !== undefined) &&
      asked.some(({ spelling }) => [...spelling.keys()].some((name) => group.spelling.has(name)))
    );
  }

  function current(): Way {
    return transports[rung] as Way;
  }

  function joining(): boolean {
    return groups.some((group) => group.position === undefined);
  }

  /** What each frame does; a type that is not here is a newer server's. */
  const readers: { [T in Frame['type']]: (frame: Extract<Frame, { type: T }>) => void } = {
    ready: readReady,
    push: readPush,
    heartbeat({ position }) {
      thrive();
      takeHeartbeat(groups, position);
    },
    gap({ identifiers }) {
      thrive();
      fruitful = true;
      for (const group of groups) {
        const own = takeGap(group, identifiers);
        if (own[0]) effects.push({ type: 'gap', identifiers: own });
      }
    },
    error: refused,
    reconnect({ after }) {
      // The server spreads the delays it gives; a bare close code gives none.
      wait(after || random * BACKOFF, after);
    },
    '(cut)': fall,
    '(opened)': () => patient || arm(FIRST_FRAME),
    '(whole)': next,
  };

  function hear({ frame }: { frame: Frame }): void {
    settle();
    const read = readers[frame.type] as ((frame: Frame) => void) | undefined;
    if (read) read(frame);
    effects.push({ type: 'heard', frame });
  }

  /** After a while connected, the transport is proven and what went wrong before is forgotten. */
  function settle(): void {
    if (state === 'connected' && now - since >= PROOF) {
      delays = 0;
      brief = -Infinity;
    }
  }

  /** There is life. The first sign of it means that the connection works. */
  function thrive(first = patient): void {
    heard = now;
    begun = begun || first;
    if (!begun) return;
    failures = 0;
    told = undefined;
    arm(heartbeat + GRACE);
    if (state !== 'connected') {
      since = now;
      enter('connected');
    }
  }

  function readReady(frame: ReadyFrame): void {
    heartbeat = frame.heartbeat * 1000 || heartbeat;
    thrive(true);
    fruitful = fruitful || joining();
    // One that answers no `listen` tells that a right was lost or won.
    takeReady(owed.shift() || asked, frame.positions);
    for (const detail of frame.warnings || []) effects.push(errorNotice('warning', detail));
  }

  function readPush(frame: PushFrame): void {
    thrive();
    for (const group of takePush(groups, frame)) {
      fruitful = true;
      effects.push({ type: 'push', group, push: frame });
    }
  }

  /** An answer came whole: ask for the next, but not in a circle if something feeds us empty ones. */
  function next(): void {
    if (!(begun || patient) || !(fruitful || now - opened >= EMPTY)) fall({});
    else if (isLong()) connect();
    else ask();
  }

  function refused({ code, detail, retry }: ErrorFrame): void {
    if (code === 'invalid_token' && told !== code && groups.filter(expire)[0]) {
      // It may just have expired: with another one, once.
      told = code;
      retry = 0;
    }
    const fatal = retry === null;
    if (fatal) close('failed');
    else backOff((retry as number) * 1000 || 0);
    tell(code, detail, fatal);
  }

  /** An error is told once, until a connection works again. */
  function tell(code: string, detail: string, fatal = false): void {
    if (fatal || told !== code) effects.push(errorNotice(code, detail, fatal));
    told = code;
  }

  /** The connection broke, or was silent for too long: the same transport again, or the next? */
  function fall({ after = 0 }: { after?: number; type?: string }): void {
    failures++;
    // Proven or not: what fails so often in a row may be blocked by now, as on another network.
    if (failures >= UNREACHABLE) brief = 0;
    const stay = brief < 0 || (state === 'connected' && ++brief < BRIEF);
    if (!stay) {
      brief = 0;
      rung = (rung + 1) % transports.length;
      if (rung === 1) lowered = now;
    }
    // The first time through all transports there is no delay between them.
    if (stay || after || failures >= transports.length) backOff(after);
    else connect();
    if (failures >= UNREACHABLE) {
      tell('unreachable', 'No answer. Is it up, and in connect-src?');
    }
  }

  /** So long on a later transport that the first may work by now. */
  function isLong(): boolean {
    return !!rung && now - lowered >= LOWER;
  }

  /** Full jitter: those that lost their connection together do not come back together. */
  function backOff(atLeast: number): void {
    wait(atLeast + random * Math.min(LONGEST, BACKOFF * 2 ** delays++), atLeast);
  }

  function wait(delay: number, atLeast: number): void {
    leave();
    notBefore = now + atLeast;
    arm(delay);
    enter('waiting', delay);
  }

  /**
   * There is a reason to believe that it works now: no more waiting than the server asked for. And
   * an open connection may be dead without knowing it.
   */
  function wake({ network }: { network: boolean }): void {
    if (network) forget();
    if (state === 'waiting' && !isDue(notBefore)) deadline = notBefore;
    else if (state === 'waiting' || network || (begun && now - heard > heartbeat + SUSPECT)) {
      connect();
    }
  }

  /** It may be another network: from the top, for what the last one let through proves nothing here. */
  function forget(): void {
    rung = brief = failures = 0;
  }

  return (input, time, chance) => {
    effects = [];
    now = time;
    random = chance;
    const { type } = input;
    if (type === 'heard' ? input.generation === generation : type !== 'tick' || isDue(deadline)) {
      const handle = table[state][type] as ((input: Input) => void) | undefined;
      if (handle) handle(input);
    }
    return [effects, deadline];
  };
}
