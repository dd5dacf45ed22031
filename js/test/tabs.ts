/**
 * Several tabs of one origin in one process. Each runs the built scripts in a realm of its own, with
 * its own document and storage, and they meet in Web Locks, in BroadcastChannels and at one server.
 *
 * To extend it: `Tab` has the events of a page. The locks follow the specification: one holder for
 * each name, a queue, `signal` and `steal`. The channels are Node's. A browser closes the channels of
 * a page that ends, and `Tab` does the same.
 */
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { BroadcastChannel as NodeChannel } from 'node:worker_threads';
import { WebSocket } from 'ws';

const SCRIPT = readFileSync('build/cometify.min.js', 'utf8');
const SHARE = readFileSync('build/cometify.share.min.js', 'utf8');

interface Held {
  tab: Tab;
  free(): void;
  lose(): void;
}

interface Asked {
  tab: Tab;
  take(): void;
}

type Options = { signal?: AbortSignal; steal?: boolean };

function abortion(why: string): Error {
  return Object.assign(new Error(why), { name: 'AbortError' });
}

/** The lock manager of an origin. */
export class Locks {
  readonly held = new Map<string, Held>();
  readonly queues = new Map<string, Asked[]>();

  of(tab: Tab): object {
    return {
      query: async () => ({}),
      request: (name: string, options: Options, run: () => unknown) =>
        this.request(tab, name, options, run),
    };
  }

  request(
    tab: Tab,
    name: string,
    { signal, steal }: Options,
    run: () => unknown,
  ): Promise<unknown> {
    if (signal && steal) return Promise.reject(new TypeError('signal with steal'));
    if (signal?.aborted) return Promise.reject(abortion('aborted before'));
    return new Promise((resolve, reject) => {
      const queue = this.queues.get(name) || [];
      this.queues.set(name, queue);
      const asked: Asked = {
        tab,
        take: () => {
          const held: Held = {
            tab,
            free: () => {
              if (this.held.get(name) !== held) return;
              this.held.delete(name);
              this.next(name);
            },
            lose: () => tab.later(() => reject(abortion('stolen'))),
          };
          this.held.set(name, held);
          // A frozen page is given the lock, but its code does not run before it thaws.
          tab.later(() => {
            Promise.resolve(run()).then(resolve, reject).then(held.free);
          });
        },
      };
      signal?.addEventListener('abort', () => {
        const at = queue.indexOf(asked);
        if (at < 0) return;
        queue.splice(at, 1);
        reject(abortion('aborted'));
      });
      if (steal) {
        const robbed = this.held.get(name);
        this.held.delete(name);
        robbed?.lose();
        queue.unshift(asked);
      } else queue.push(asked);
      queueMicrotask(() => this.next(name));
    });
  }

  next(name: string): void {
    const queue = this.queues.get(name);
    if (!this.held.has(name)) queue?.shift()?.take();
  }

  /** Frees everything that a tab holds or waits for, because it is gone. */
  end(tab: Tab): void {
    for (const queue of this.queues.values()) {
      for (const asked of queue.filter((one) => one.tab === tab)) {
        queue.splice(queue.indexOf(asked), 1);
      }
    }
    for (const held of [...this.held.values()]) if (held.tab === tab) held.free();
  }

  get leader(): Tab | undefined {
    return [...this.held.values()][0]?.tab;
  }
}

export interface Heard {
  data: string;
  identifier: string;
}

export class Tab {
  readonly got: string[] = [];
  readonly states: string[] = [];
  readonly said: string[] = [];
  /** The gaps that were told, each as its identifiers. */
  readonly gaps: string[] = [];
  readonly loaded: string[] = [];
  /** Scripts fail to load. */
  isCutOff = false;
  /** The events of a frozen page, which it gets when it thaws. Undefined while it is not frozen. */
  private frozen: (() => void)[] | undefined;
  private over = false;
  private readonly channels = new Set<NodeChannel>();
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly sockets = new Set<WebSocket>();
  private readonly aborts = new Set<AbortController>();
  private readonly events = new EventTarget();
  private readonly context: object;

  constructor(
    readonly locks: Locks | undefined,
    readonly speed: number,
  ) {
    this.context = createContext(this.world());
    this.run(SCRIPT);
  }

  run(code: string): unknown {
    return runInContext(code, this.context);
  }

  /** Runs a step of the page, now or when it thaws, but never after its end. */
  later(happens: () => void): void {
    if (this.frozen) this.frozen.push(happens);
    else if (!this.over) happens();
  }

  /** Starts a listener on `chat` or on the given identifiers. The texts that it gets are in `got`. */
  listen(server: string, more: object = {}): this {
    Object.assign(this.context, { server, more, tab: this });
    this.run(`
      listener = Cometify.init({
        apiKey: 1, identifiers: 'chat', server, share: true, ...more,
        callback: (data) => tab.got.push(data),
      }).start()
        .on('state', ({state}) => tab.states.push(state))
        .on('gap', ({identifiers}) => tab.gaps.push(String(identifiers)));
    `);
    return this;
  }

  get state(): string {
    return this.run('listener.state') as string;
  }

  get transport(): string {
    return this.run('listener.transport') as string;
  }

  happen(name: string): void {
    this.later(() => this.events.dispatchEvent(new Event(name)));
  }

  freeze(): void {
    this.frozen = [];
  }

  thaw(): void {
    const happened = this.frozen || [];
    this.frozen = undefined;
    for (const happens of happened) this.later(happens);
  }

  /** Ends the process of the tab without any event. */
  crash(): void {
    this.over = true;
    for (const channel of this.channels) channel.close();
    for (const timer of this.timers) clearTimeout(timer);
    for (const socket of this.sockets) socket.terminate();
    for (const abort of this.aborts) abort.abort();
    this.locks?.end(this);
  }

  /** Closes the window of the tab. */
  close(): void {
    this.happen('pagehide');
    this.crash();
  }

  /** The number of open channels. */
  get open(): number {
    return this.channels.size;
  }

  /** The number of timers that are set. */
  get pending(): number {
    return this.timers.size;
  }

  private world(): Record<string, unknown> {
    const tab = this;
    class TabSocket extends WebSocket {
      constructor(url: string) {
        super(url);
        tab.sockets.add(this);
        this.on('error', () => {});
      }
      override emit(name: string | symbol, ...given: unknown[]): boolean {
        tab.later(() => super.emit(name, ...given));
        return true;
      }
    }
    class TabChannel {
      onmessage: ((event: { data: unknown }) => void) | undefined;
      private readonly channel: NodeChannel;
      constructor(name: string) {
        this.channel = new NodeChannel(`${name} ${tab.origin}`);
        tab.channels.add(this.channel);
        this.channel.onmessage = (event) => {
          const { data } = event as { data: unknown };
          tab.later(() => this.onmessage?.({ data }));
        };
      }
      postMessage(message: unknown): void {
        // Code of a tab that is gone may still run here, but its messages reach nobody.
        if (!tab.over) this.channel.postMessage(message);
      }
      close(): void {
        tab.channels.delete(this.channel);
        this.channel.close();
      }
    }
    const world: Record<string, unknown> = {
      crypto,
      atob,
      AbortController,
      TextDecoder,
      EventTarget,
      sessionStorage: {} as Record<string, string>,
      navigator: { locks: this.locks?.of(this) },
      WebSocket: TabSocket,
      BroadcastChannel: this.locks && TabChannel,
      console: { error: (text: string) => this.said.push(text) },
      Date: Object.assign(() => {}, { now: () => performance.now() * this.speed }),
      setTimeout: (run: (...given: unknown[]) => void, delay = 0, ...given: unknown[]) => {
        const timer = setTimeout(() => {
          this.timers.delete(timer);
          this.later(() => run(...given));
        }, delay / this.speed);
        this.timers.add(timer);
        return timer;
      },
      clearTimeout: (timer: ReturnType<typeof setTimeout>) => {
        this.timers.delete(timer);
        clearTimeout(timer);
      },
      fetch: async (url: string, init: RequestInit) => {
        const abort = new AbortController();
        this.aborts.add(abort);
        init.signal?.addEventListener('abort', () => abort.abort());
        return fetch(url, { ...init, signal: abort.signal });
      },
      addEventListener: this.events.addEventListener.bind(this.events),
      removeEventListener: this.events.removeEventListener.bind(this.events),
      document: {
        hidden: false,
        currentScript: null,
        createElement: () => ({}),
        head: { append: (script: Script) => this.load(script) },
      },
    };
    world.self = world;
    return world;
  }

  private load(script: Script): void {
    this.loaded.push(script.src);
    setImmediate(() =>
      this.later(() => {
        const isThere = !this.isCutOff && /\/cometify\.share\.min\.js$/.test(script.src);
        if (!isThere) return script.onerror();
        this.run(SHARE);
        script.onload();
      }),
    );
  }

  private get origin(): number {
    return this.locks ? idOf(this.locks) : 0;
  }
}

interface Script {
  src: string;
  onload(): void;
  onerror(): void;
}

const ids = new WeakMap<Locks, number>();
let origins = 0;

/** Each lock manager is an origin of its own, so that tests that run at once do not meet. */
function idOf(locks: Locks): number {
  if (!ids.has(locks)) ids.set(locks, ++origins);
  return ids.get(locks) as number;
}
