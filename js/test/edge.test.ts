import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connect, init } from '../src/index';
import { type ConnectOptions, readServers, type Servers } from '../src/options';
import type { Connection } from '../src/subscription';
import { server, stopAfter } from './server-each';
import { pause, until } from './world';

interface Push {
  identifier: string;
  text: string;
  position: number;
}

/** A cache that answers each URL once for all who ask, and the public pushes behind it. */
class Edge {
  readonly http = createServer(({ method, url, headers }, response) => {
    this.asked.push(`${method} ${url}`);
    this.listeners.add(`${headers['content-type']}`);
    this.answer(new URL(url as string, this.url), response);
  });
  readonly asked: string[] = [];
  readonly listeners = new Set<string>();
  readonly kept: Push[] = [];
  readonly waiting: [URL, ServerResponse][] = [];
  position = 5_000;
  /** Positions whose poll is answered with a heartbeat at once, as an old answer is. */
  readonly stale = new Map<number, number>();

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  answer(url: URL, response: ServerResponse): void {
    const names = (url.searchParams.get('identifiers') as string).split(',');
    const asked = url.searchParams.get('position');
    const { position } = this;
    if (asked === null) {
      const ready = {
        type: 'ready',
        heartbeat: 25,
        secret: [],
        warnings: [],
        positions: [position],
      };
      this.end(response, [ready], position);
      return;
    }
    const stale = this.stale.get(Number(asked));
    const owed = this.kept.filter(
      (push) => push.position > Number(asked) && names.includes(push.identifier),
    );
    if (stale) this.end(response, [], stale);
    else if (owed[0]) this.end(response, owed, position);
    else this.waiting.push([url, response]);
  }

  end(response: ServerResponse, frames: object[], position: number): void {
    const all = [...frames, { type: 'heartbeat', position }];
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    response.end(all.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
  }

  push(identifier: string, text: string): void {
    this.position += 10;
    const push = { type: 'push', identifier, push_id: null, text, position: this.position };
    this.kept.push(push);
    for (const [url, response] of this.waiting.splice(0)) this.answer(url, response);
  }
}

let edge: Edge;

beforeEach(async () => {
  edge = new Edge();
  await new Promise<void>((resolve) => edge.http.listen(0, '127.0.0.1', resolve));
});

afterEach(() => {
  edge.http.closeAllConnections();
  edge.http.close();
});

function listen(options: Partial<ConnectOptions> = {}): { listener: Connection; got: string[] } {
  const got: string[] = [];
  const listener = connect({
    apiKey: 37282591,
    server: { origin: server.url, poll: edge.url },
    callback: (text, _id, identifier) => got.push(`${identifier} ${text}`),
    ...options,
  });
  stopAfter(listener);
  return { listener, got };
}

async function waitingFor(many: number): Promise<void> {
  await until(() => edge.waiting.length === many, `${many} polls that wait`);
}

describe('the edge', () => {
  test('listeners of the same identifiers ask for the same bytes', async () => {
    const one = listen({ identifiers: ['News', 'chat'] });
    const other = listen({ identifiers: ['chat', 'news'] });
    await waitingFor(2);
    edge.push('news', 'hello');
    await waitingFor(2);
    assert.deepEqual([one.got, other.got], [['News hello'], ['news hello']]);
    assert.deepEqual(
      [...new Set(edge.asked)],
      [
        'GET /37282591/poll?identifiers=chat,news',
        'GET /37282591/poll?identifiers=chat,news&position=5000',
        'GET /37282591/poll?identifiers=chat,news&position=5010',
      ],
    );
    assert.deepEqual([one.listener.state, one.listener.transport], ['connected', 'poll']);
    assert.deepEqual([...edge.listeners], ['undefined']);
    assert.equal(server.asked.length, 0);
  });

  test('a group that is added joins alone, and nothing is lost or doubled', async () => {
    const { listener, got } = listen({ identifiers: 'a' });
    await waitingFor(1);
    edge.push('b', 'before it was asked for');
    // This one comes while the poll of `a` is given up for the joining of `b`.
    listener.subscribe('b', (text, _id, identifier) => got.push(`${identifier} ${text}`));
    edge.position += 10;
    edge.kept.push({ identifier: 'a', text: 'one', position: edge.position, ...PUSH });
    await until(() => got.length === 1, 'the push of a');
    edge.push('b', 'two');
    edge.push('a', 'three');
    await until(() => got.length === 3, 'the pushes of both');
    assert.deepEqual(got, ['a one', 'b two', 'a three']);
    assert.ok(edge.asked.includes('GET /37282591/poll?identifiers=b'));
    assert.match(edge.asked.pop() as string, /identifiers=a,b&position=\d+$/);
  });

  test('secret pushes and internal ids are asked of the server itself', async () => {
    for (const options of [
      { identifiers: 'chat', secureKey: 'key' },
      { identifiers: 'chat', token: 'token' },
      { identifiers: { chat: 7 } },
    ]) {
      const { listener } = listen({ ...options, transports: ['poll'] });
      await until(() => listener.state === 'connected', 'connected');
      listener.stop();
    }
    assert.deepEqual(edge.asked, []);
    assert.ok(server.asked.every(({ transport }) => transport === 'poll'));
  });

  test('an old answer without a push is no fault', async () => {
    const states: string[] = [];
    for (let position = 5_000; position < 5_005; position++) edge.stale.set(position, position + 1);
    const { listener, got } = listen({ identifiers: 'chat' });
    listener.on('state', ({ state }) => states.push(state));
    await waitingFor(1);
    assert.equal(new Set(edge.asked).size, 7);
    edge.push('chat', 'hello');
    await until(() => got.length === 1, 'the push');
    assert.deepEqual(states, ['connecting', 'connected']);
  });

  test('a cache that is down sends no audience to the server', async () => {
    const { listener } = listen({
      identifiers: 'chat',
      server: { origin: server.url, poll: CLOSED },
    });
    await until(() => listener.state === 'waiting', 'waiting');
    await pause(300);
    assert.equal(server.asked.length, 0);
  });
});

const CLOSED = 'http://127.0.0.1:9';
const PUSH = { type: 'push', push_id: null };

describe('the option server with an edge', () => {
  const RIGHT = { apiKey: 1, identifiers: 'chat', callback() {} };
  const servers = { origin: 'https://push.example.org/', poll: 'https://cdn.example.org' };

  test('polls come first only for public pushes', () => {
    const ways = (more: object): string[] =>
      readServers({ ...RIGHT, server: servers, ...more }, undefined).ways;
    assert.deepEqual(ways({}), ['poll']);
    assert.deepEqual(ways({ token: 'token' }), ['websocket', 'stream', 'poll']);
    assert.deepEqual(ways({ transports: ['poll', 'stream'] }), ['poll', 'stream']);
  });

  test('both origins are checked', () => {
    for (const server of [
      { ...servers, poll: 'cdn' },
      { poll: servers.poll } as Servers,
      { ...servers, origin: 1 as unknown as string },
    ]) {
      assert.throws(() => init({ ...RIGHT, server }), /^TypeError: Cometify needs server/);
    }
    assert.equal(
      readServers({ ...RIGHT, server: servers }, undefined).url,
      'https://push.example.org/1/',
    );
  });
});
