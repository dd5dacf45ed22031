/**
 * Stands in for the browser's world where Node lacks it: `self` with a page's comings and goings, a
 * WebSocket, and a clock that runs faster, for the timers and for those who read it alike.
 */
import { WebSocket } from 'ws';

/** So many seconds of the listener's in one of the test's. */
export const SPEED = 20;

const page = new EventTarget();
const began = performance.now();
const wall = Date.now();
const later = setTimeout;

Date.now = () => wall + (performance.now() - began) * SPEED;

/** What timers threw: a browser would tell `window.onerror`. */
export const thrown: unknown[] = [];

/** Keeps strings, as a browser's does. */
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

/** Who watches the page for what. */
export const watching = new Set<string>();

const numbers = new Map<Seen, number>();

function numberOf(seen: Seen): number {
  if (!numbers.has(seen)) numbers.set(seen, numbers.size);
  return numbers.get(seen) as number;
}

/** As in a browser, a connection that fails is no exception. */
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
    page.addEventListener(name, seen, capture);
  },
  removeEventListener(name: string, seen: Seen, capture: boolean) {
    watching.delete(`${name} ${numberOf(seen)}`);
    page.removeEventListener(name, seen, capture);
  },
  document: { hidden: false },
  sessionStorage: storage(),
});

/** Something happens to the page: `online`, `pagehide`, and so on. */
export function happen(name: string): void {
  page.dispatchEvent(new Event(name));
}

/** Waits in the test's own time until it holds. */
export async function until(holds: () => unknown, what: string, within = 5_000): Promise<void> {
  const end = performance.now() + within;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => later(resolve, 2));
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => later(resolve, milliseconds));
}
