/**
 * The listener that a page holds: the machine, and around it what touches the world. Here are the
 * clock, chance, the one timer, the one connection, and the page's own code.
 */
import { lookUp, safely } from './callback';
import { openHttp } from './http';
import { createMachine, type Effect, type Input, type Notice, type State } from './machine';
import type { Settings } from './options';
import { watchPage } from './page';
import type { Open, Transport } from './transport';
import { openWebSocket } from './websocket';

export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>;

export interface Listener {
  readonly state: State;
  /** The one in use, or being tried. */
  readonly transport: Transport;
  stop(): void;
  on<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
  off<T extends Notice['type']>(type: T, hear: (notice: NoticeOf<T>) => void): Listener;
}

/** The timer is this coarse at most, so that a machine that slept notices soon after it woke. */
const COARSE = 5_000;

const OPEN: Record<Transport, Open> = {
  websocket: openWebSocket,
  stream: openHttp,
  poll: openHttp,
};

/** Tells the server which polls and streams are one listener. Kept nowhere: it follows nobody. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => (byte % 16).toString(16)).join('');
}

/** Starts to listen as soon as the page's code that calls this is done, so that `on` misses nothing. */
export function startListener({ url, group, transports }: Settings): Listener {
  const machine = createMachine(randomId(), [group], transports);
  const said = new Set<string>();
  let hearers: [type: string, hear: (notice: never) => void][] = [];
  let disconnect = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;

  function feed(input: Input): void {
    for (const effect of machine.step(input, Date.now(), Math.random())) act(effect);
    arm(machine.deadline);
  }

  /** The one timer, always set anew: a push moves the deadline, and this costs less than to compare. */
  function arm(deadline: number): void {
    clearTimeout(timer);
    if (deadline < Infinity) {
      timer = setTimeout(feed, Math.min(COARSE, deadline - Date.now()), { type: 'tick' });
    }
  }

  function act(effect: Effect): void {
    // The page may have stopped this listener a moment ago, told of an effect before this one.
    if (listener.state === 'stopped') return;
    switch (effect.type) {
      case 'close':
        disconnect();
        break;
      case 'open':
        connect(effect);
        break;
      case 'push':
        deliver(effect);
        break;
      case 'warning':
        say(console.warn, effect.detail);
        break;
      default:
        notify(effect);
    }
  }

  function connect({ transport, body, generation }: Extract<Effect, { type: 'open' }>): void {
    disconnect = OPEN[transport](url + transport, body, (frame) =>
      feed({ type: 'frame', generation, frame }),
    );
  }

  function deliver({ group, push }: Extract<Effect, { type: 'push' }>): void {
    const { text: data, push_id: id, position } = push;
    const identifier = group.spelling.get(push.identifier) as string;
    const call = lookUp(group.callback);
    if (call) safely(() => call(data, id, identifier));
    else miss(`window.${group.callback} is not a function`);
    notify({ type: 'push', data, id, identifier, position });
  }

  function miss(detail: string): void {
    notify({ type: 'error', code: 'no_callback', detail, fatal: false });
  }

  function notify(notice: Notice): void {
    const { type } = notice;
    const those = hearers.filter(([heard]) => heard === type);
    if (type === 'state') show(notice);
    for (const [, hear] of those) safely(() => hear(notice as never));
    if (type === 'error' && !those.length) say(console.error, `${notice.code}: ${notice.detail}`);
  }

  function show({ state, transport }: NoticeOf<'state'>): void {
    Object.assign(listener, { state, transport });
    if (state === 'stopped') hearers = [];
    if (state === 'stopped' || state === 'failed') unwatch();
  }

  /** Once each, and never with a key in it: consoles are photographed and pasted. */
  function say(aloud: (text: string) => void, text: string): void {
    const safe = `Cometify: ${text.split(group.secureKey as string).join('…')}`;
    if (!said.has(safe)) aloud(safe);
    said.add(safe);
  }

  const listener = {
    state: 'idle' as State,
    transport: transports[0] as Transport,
    stop: () => feed({ type: 'stop' }),
    on<T>(type: string, hear: (notice: T) => void) {
      hearers = [...hearers, [type, hear]];
      return listener;
    },
    off<T>(type: string, hear: (notice: T) => void) {
      hearers = hearers.filter(([t, h]) => t !== type || h !== hear);
      return listener;
    },
  };
  const unwatch = watchPage(
    (network) => feed({ type: 'wake', network }),
    () => feed({ type: 'hide' }),
  );
  Promise.resolve().then(() => feed({ type: 'start' }));
  return listener;
}
