/**
 * The parts of a browser that Node lacks: `self` with the events of a page, a WebSocket, and a clock
 * that runs faster, both for timers and for code that reads it.
 */
import { WebSocket } from 'ws';

/** The seconds of the listener in one second of the test. With more of them a busy machine fails tests. */
export const SPEED = 10;

const page = new EventTarget();
const began = performance.now();
const wall = Date.now();
const later = setTimeout;

Date.now = () => wall + (performance.now() - began) * SPEED;

/** Errors thrown in timers, which a browser would report to `window.onerror`. */
export const thrown: unknown[] = [];

/** A session storage, which keeps everything as a string. */
export function storage(): Record<string, string> {
  return new Proxy<Record<string, string>>(
    {},
    {
      set(kept, key, value) {
        kept[key as string] = `${value}`;
        return true;
      },
    },
  );
}

type Seen = (happening: Event) => void;

/** The event listeners on the page, as '{event} {number of the function}'. */
export const watching = new Set<string>();

const numbers = new Map<Seen, number>();

function numberOf(seen: Seen): number {
  if (!numbers.has(seen)) numbers.set(seen, numbers.size);
  return numbers.get(seen) as number;
}

/** A WebSocket whose failed connection is not an exception, as in a browser. */
class QuietWebSocket extends WebSocket {
  constructor(url: string) {
    super(url);
    this.on('error', () => {});
  }
}

Object.assign(globalThis, {
  self: globalThis,
  WebSocket: QuietWebSocket,
  setTimeout: (run: (...given: unknown[]) => void, delay = 0, ...given: unknown[]) =>
    later(() => {
      try {
        run(...given);
      } catch (failure) {
        thrown.push(failure);
      }
    }, delay / SPEED),
  addEventListener(name: string, seen: Seen, capture: boolean) {
    watching.add(`${name} ${numberOf(seen)}`);
    page.addEventListener(name, seen, { capture });
  },
  removeEventListener(name: string, seen: Seen, capture: boolean) {
    watching.delete(`${name} ${numberOf(seen)}`);
    // Node ignores a bare `true` here, and would keep the listener.
    page.removeEventListener(name, seen, { capture });
  },
  document: { hidden: false },
  sessionStorage: storage(),
});

/** Fires an event of the page, such as `online` or `pagehide`. */
export function happen(name: string): void {
  page.dispatchEvent(new Event(name));
}

/** Waits until `holds` is true, at most `within` milliseconds of real time. */
export async function until(holds: () => unknown, what: string, within = 15_000): Promise<void> {
  const end = performance.now() + within;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => later(resolve, 2));
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => later(resolve, milliseconds));
}
