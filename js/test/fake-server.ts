/**
 * A Cometify server in the test's own process: it joins, keeps every push, resumes and can be told
 * to misbehave. To extend it: give `script` a function that looks at a request and either answers
 * it itself (and returns true) or leaves it to the server; a WebSocket is asked about before its
 * handshake. `write` is how bytes go out on HTTP, to be replaced by one that cuts them otherwise.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

interface Kept {
  type: 'push';
  identifier: string;
  push_id: number | string | null;
  text: string;
  position: number;
}

interface Joined {
  transport: string;
  names: Set<string>;
  send(frame: object): void;
  end(): void;
}

export interface Listen {
  type: string;
  listener: string;
  groups: {
    identifiers: string | string[] | Record<string, number | string>;
    secureKey?: string;
    position?: number;
  }[];
}

/** What came in: by which transport, where, and what it asked for. */
export interface Asked {
  transport: string;
  url: string;
  headers: IncomingMessage['headers'];
  listen?: Listen;
}

type Script = (transport: string, to: ServerResponse | Duplex) => boolean;

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
  script: Script = () => false;
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

  /** Every connection is gone, as when a cable is pulled. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  push(identifier: string, text: string, push_id: Kept['push_id'] = null): void {
    const kept: Kept = { type: 'push', identifier, push_id, text, position: ++this.position };
    this.kept.push(kept);
    for (const one of Array.from(this.joined)) {
      if (one.names.has(identifier)) this.give(one, [kept]);
    }
  }

  /** A frame to all who are there. */
  say(frame: object): void {
    for (const one of Array.from(this.joined)) this.give(one, [frame]);
  }

  give(one: Joined, frames: object[]): void {
    for (const frame of frames) one.send(frame);
    if (one.transport === 'poll') one.end();
  }

  join(one: Joined, { groups }: Listen): void {
    const resuming = groups.every(({ position }) => position !== undefined);
    const positions = groups.map(({ position }) => position ?? this.position);
    const { heartbeat, warnings } = this;
    for (const { identifiers } of groups) {
      const list = Array.isArray(identifiers) ? identifiers : Object.keys(identifiers);
      for (const name of list) one.names.add(name.toLowerCase());
    }
    const behind = this.kept.filter(
      ({ identifier, position }) => one.names.has(identifier) && position > Math.min(...positions),
    );
    const waits = one.transport === 'poll' && resuming;
    if (!waits) one.send({ type: 'ready', heartbeat, secret: [], warnings, positions });
    const end = { type: 'heartbeat', position: this.position };
    this.joined.add(one);
    if (waits && !behind.length) setTimeout(() => this.give(one, [end]), heartbeat * 1000);
    else this.give(one, [...behind, end]);
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url as string;
    const transport = url.split('/').pop() as string;
    const asked: Asked = { transport, url, headers: request.headers };
    this.asked.push(asked);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'Retry-After');
    if (this.script(transport, response)) return;
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.flushHeaders();
    const one: Joined = {
      transport,
      names: new Set(),
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
      asked.listen = JSON.parse(body);
      this.join(one, asked.listen as Listen);
    });
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const asked: Asked = {
      transport: 'websocket',
      url: request.url as string,
      headers: request.headers,
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
      names: new Set(),
      send: (frame) => websocket.send(JSON.stringify(frame)),
      end: () => websocket.close(),
    };
    websocket.on('close', () => this.joined.delete(one));
    websocket.on('message', (data) => {
      asked.listen = JSON.parse(`${data}`);
      this.join(one, asked.listen as Listen);
    });
  }
}
