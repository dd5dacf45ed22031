/**
 * A Cometify server in the test's own process. It joins listeners, keeps every push, replays,
 * resumes, tells a gap to whoever asks for what is yet to come, continues identifiers over a second
 * `listen`, and can be told to misbehave.
 *
 * To extend it: `Want` decides which pushes a listener gets, and `join` makes it from the request of a
 * group. A test may replace three functions. `accept` checks keys and tokens, and may refuse.
 * `script` looks at a request, and either answers it (and returns true) or leaves it to the server; a
 * WebSocket is shown to it before the handshake. `write` sends the bytes of an HTTP answer, and may
 * cut them anywhere. `asked` has every request.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

interface Kept {
  type: 'push';
  identifier: string;
  push_id: number | string | null;
  text?: string;
  data?: unknown;
  event?: string;
  position: number;
}

/** The pushes that one group gets of an identifier: above a position, and numbered ones above an id. */
interface Want {
  since: number;
  above: number;
  unnumberedSince: number;
}

interface Joined {
  transport: string;
  wants: Map<string, Want[]>;
  /** The `ready` of a poll that waits. */
  preface?: object;
  send(frame: object): void;
  end(): void;
}

export interface Listen {
  type: string;
  listener: string;
  groups: {
    identifiers: string | string[] | Record<string, number | string>;
    secureKey?: string;
    token?: string;
    position?: number;
  }[];
}

/** A request, or a WebSocket. */
export interface Asked {
  transport: string;
  url: string;
  headers: IncomingMessage['headers'];
  /** The last `listen`. */
  listen?: Listen;
  /** The number of `listen` frames. */
  listens: number;
}

type Script = (transport: string, to: ServerResponse | Duplex) => boolean;

function wantOf(id: number | undefined, position: number | undefined, head: number): Want {
  const since = position ?? (id === undefined ? head : 0);
  return { since, above: id || -1, unnumberedSince: position ?? (id ? head : since) };
}

function lets({ since, above, unnumberedSince }: Want, { position, push_id }: Kept): boolean {
  return push_id === null
    ? position > unnumberedSince
    : position > since && Number(push_id) > above;
}

export class FakeServer {
  readonly http = createServer((request, response) => this.answer(request, response));
  readonly websockets = new WebSocketServer({ noServer: true });
  readonly asked: Asked[] = [];
  readonly joined = new Set<Joined>();
  readonly kept: Kept[] = [];
  readonly sockets = new Set<Socket>();
  heartbeat = 25;
  warnings: string[] = [];
  position = 1_000;
  /** The most identifiers of a listener. A group that goes beyond is refused alone. */
  most = 100;
  script: Script = () => false;
  /** Returns the error frame that refuses a `listen`, or undefined to accept it. */
  accept: (listen: Listen) => object | undefined = () => undefined;
  write = (response: ServerResponse, bytes: Buffer): void => {
    response.write(bytes);
  };

  constructor() {
    this.http.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.http.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.http.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  get transports(): string {
    return this.asked.map(({ transport }) => transport).join(' ');
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** Destroys every connection, as when a cable is pulled. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  push(identifier: string, text: string, push_id: Kept['push_id'] = null): void {
    this.keep({ type: 'push', identifier, push_id, text, position: ++this.position });
  }

  /** Pushes any JSON value instead of a text, and perhaps the name of an event. */
  pushData(identifier: string, data: unknown, event?: string): void {
    this.keep({ type: 'push', identifier, push_id: null, data, event, position: ++this.position });
  }

  private keep(kept: Kept): void {
    const { identifier } = kept;
    this.kept.push(kept);
    for (const one of Array.from(this.joined)) {
      if (one.wants.get(identifier)?.some((want) => lets(want, kept))) this.give(one, [kept]);
    }
  }

  /** Sends a frame to every listener that has joined. */
  say(frame: object): void {
    for (const one of Array.from(this.joined)) this.give(one, [frame]);
  }

  give(one: Joined, frames: object[]): void {
    if (one.preface) one.send(one.preface);
    for (const frame of frames) one.send(frame);
    if (one.transport === 'poll') one.end();
  }

  read(asked: Asked, one: Joined, body: string): void {
    const listen = JSON.parse(body);
    asked.listen = listen;
    asked.listens++;
    const refused = this.accept(listen);
    if (!refused) this.join(one, listen);
    else {
      one.send(refused);
      one.end();
    }
  }

  join(one: Joined, { groups }: Listen): void {
    const { heartbeat, warnings, position: head } = this;
    const resuming = groups.every(({ position }) => position !== undefined);
    const had = new Map(one.wants);
    one.wants.clear();
    const lost: string[] = [];
    const refused: number[] = [];
    const positions = groups.map(({ identifiers, position: asked }, place) => {
      const isAhead = asked !== undefined && asked > head;
      const position = isAhead ? head : asked;
      const names = Array.isArray(identifiers) ? identifiers : Object.keys(identifiers);
      const lowers = names.map((name) => name.toLowerCase());
      if (new Set([...one.wants.keys(), ...lowers]).size > this.most) {
        refused.push(place);
        return head;
      }
      const all = names.map((name) => {
        const id = Array.isArray(identifiers) ? undefined : Number(Object(identifiers)[name]);
        const lower = name.toLowerCase();
        if (isAhead && !had.has(lower)) lost.push(lower);
        const wants = had.get(lower) || [wantOf(id, position, head)];
        one.wants.set(lower, [...(one.wants.get(lower) || []), ...wants]);
        return Math.min(...wants.map(({ since }) => since));
      });
      return Math.min(...all);
    });
    const behind: object[] = this.kept.filter((kept) =>
      one.wants.get(kept.identifier)?.some((want) => lets(want, kept)),
    );
    if (lost.length) behind.unshift({ type: 'gap', identifiers: lost });
    const waits = one.transport === 'poll' && resuming;
    const ready = { type: 'ready', heartbeat, secret: [], warnings, positions };
    const told = refused.length
      ? { ...ready, warnings: ['Not joined.', ...warnings], refused }
      : ready;
    // A poll that resumes has its `ready` only if it warns, and before what it waits for.
    if (!waits) one.send(told);
    else if (refused.length) one.preface = told;
    const end = { type: 'heartbeat', position: head };
    this.joined.add(one);
    for (const wants of one.wants.values()) {
      for (const want of wants) want.since = want.unnumberedSince = head;
    }
    // The heartbeat may be longer than the test, so the timer must not keep the process alive.
    if (waits && !behind.length) {
      setTimeout(() => this.give(one, [end]), heartbeat * 1000).unref();
    } else this.give(one, [...behind, end]);
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url as string;
    const transport = url.split('/').pop() as string;
    const asked: Asked = { transport, url, headers: request.headers, listens: 0 };
    this.asked.push(asked);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'Retry-After');
    if (this.script(transport, response)) return;
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.flushHeaders();
    const one: Joined = {
      transport,
      wants: new Map(),
      send: (frame) => this.write(response, Buffer.from(`${JSON.stringify(frame)}\n`)),
      end: () => {
        this.joined.delete(one);
        response.end();
      },
    };
    response.on('close', () => this.joined.delete(one));
    let body = '';
    request.setEncoding('utf8').on('data', (text) => {
      body += text;
    });
    request.on('end', () => {
      this.read(asked, one, body);
    });
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const asked: Asked = {
      transport: 'websocket',
      url: request.url as string,
      headers: request.headers,
      listens: 0,
    };
    this.asked.push(asked);
    if (this.script('websocket', socket)) return;
    this.websockets.handleUpgrade(request, socket, head, (websocket) =>
      this.serve(asked, websocket),
    );
  }

  serve(asked: Asked, websocket: WebSocket): void {
    const one: Joined = {
      transport: 'websocket',
      wants: new Map(),
      send: (frame) => websocket.send(JSON.stringify(frame)),
      end: () => websocket.close(),
    };
    websocket.on('close', () => this.joined.delete(one));
    websocket.on('message', (data) => {
      this.read(asked, one, `${data}`);
    });
  }
}
