/** The live tail of one identifier: its texts, as a listener of the product's own client gets them. */
import { type Connection, connect } from '../src/index';
import type { ProcessState } from './answers';
import { clock, make } from './elements';
import { type Right, tokenFor } from './secret';

/** Pushes that are shown, the newest first. */
const MOST = 100;
/** The last minutes are replayed. The server keeps ten. */
const REPLAYED = 590;
const ENDPOINT = /^(?:haproxy:)?(tcp6?|ssl):(\d+)/;

/** The address at which visitors reach this server, guessed from its own endpoints. */
export function guessServer(process: ProcessState | undefined): string {
  for (const endpoint of process?.http || []) {
    const [, kind, port] = ENDPOINT.exec(endpoint) || [];
    if (port) return `${kind === 'ssl' ? 'https' : 'http'}://${location.hostname}:${port}`;
  }
  return location.origin;
}

function row(time: number, words: string, text: string): HTMLElement {
  return make(
    'li',
    {},
    make('time', {}, clock(time)),
    make('span', { class: 'quiet' }, words),
    make('pre', {}, text),
  );
}

export class Tail {
  readonly list = make('ol', { class: 'tail', 'aria-live': 'polite', 'aria-label': 'Live tail' });
  readonly state = make('p', { class: 'quiet', role: 'status' });
  private connection: Connection | undefined;

  start(server: string, account: string, identifier: string, right: Right | undefined): void {
    this.stop();
    this.state.textContent = 'Connecting…';
    const since = (Math.floor(Date.now() / 1000) - REPLAYED) * 1_000_000;
    let connection: Connection;
    try {
      connection = connect({
        apiKey: account,
        server,
        identifiers: [identifier],
        transports: ['websocket'],
        since,
        token: right && (() => tokenFor(right, identifier)),
      });
    } catch (failure) {
      this.state.textContent = `${(failure as Error).message}`;
      return;
    }
    this.connection = connection;
    connection.on('push', ({ data, id, position }) => {
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      this.add(row(Number(position) / 1e6, id === null ? '' : `push_id ${id}`, text));
    });
    connection.on('gap', () => {
      this.add(row(Date.now() / 1000, 'gap', 'Pushes before this may be missing.'));
    });
    connection.on('error', ({ detail }) => {
      this.state.textContent = detail;
    });
    connection.on('state', ({ state }) => {
      if (state === 'connected') this.state.textContent = `Listening at ${server}.`;
      else if (state === 'waiting')
        this.state.textContent = `${server} does not answer. Trying again.`;
    });
  }

  private add(element: HTMLElement): void {
    this.list.prepend(element);
    while (this.list.children.length > MOST) this.list.lastChild?.remove();
  }

  stop(): void {
    this.connection?.stop();
    this.connection = undefined;
    this.list.replaceChildren();
    this.state.textContent = '';
  }
}
