import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { init } from '../src/index';
import type { Options } from '../src/options';
import type { Listener } from '../src/subscription';
import type { Transport } from '../src/transport';
import type { FakeServer } from './fake-server';
import { pick, seeded } from './random';
import { said, server, stopAfter } from './server-each';
import { happen, pause, thrown, until, watching } from './world';

function listen(options: Partial<Options> = {}): { listener: Listener; got: unknown[][] } {
  const got: unknown[][] = [];
  const listener = init({
    apiKey: 37282591,
    identifiers: 'chat',
    server: server.url,
    callback: (...given) => got.push(given),
    ...options,
  }).start();
  stopAfter(listener);
  return { listener, got };
}

async function connected(listener: Listener): Promise<void> {
  await until(() => listener.state === 'connected', 'connected');
}

function problem(to: ServerResponse, status: number, body: object, headers = {}): true {
  to.writeHead(status, { 'Content-Type': 'application/problem+json', ...headers });
  to.end(JSON.stringify(body));
  return true;
}

const ALL: Transport[] = ['websocket', 'stream', 'poll'];
const TEXT = 'Grüße, 世界 👋\n"quoted" \\ \u2028';

for (const transport of ALL) {
  const only = { transports: [transport] };

  describe(transport, () => {
    test("a push arrives with text, id and the page's spelling", async () => {
      const { listener, got } = listen({ identifiers: ['GuestBook', 'chat'], ...only });
      await connected(listener);
      assert.equal(listener.transport, transport);
      server.push('guestbook', TEXT, 7);
      server.push('chat', '', '9223372036854775807');
      server.push('chat', 'none');
      await until(() => got.length === 3, 'three pushes');
      assert.deepEqual(got, [
        [TEXT, 7, 'GuestBook'],
        ['', '9223372036854775807', 'chat'],
        ['none', null, 'chat'],
      ]);
    });

    test('a push with data arrives as its JSON value', async () => {
      const values = [{ total: 5 }, ['a', 1], 'text', 0, false, null, ''];
      const { listener, got } = listen(only);
      const noticed: unknown[] = [];
      listener.on('push', ({ data }) => noticed.push(data));
      await connected(listener);
      for (const value of values) server.pushData('chat', value);
      await until(() => got.length === values.length, 'all of them');
      assert.deepEqual(
        got.map(([data]) => data),
        values,
      );
      assert.deepEqual(noticed, values);
    });

    test('keys travel in the body and not in the address', async () => {
      const { listener } = listen({ secureKey: 'c0ffee', identifiers: { Metrics: 59 }, ...only });
      await connected(listener);
      const { url, headers, listen: frame } = server.asked[0] as FakeServer['asked'][0];
      assert.equal(url, `/37282591/${transport}`);
      assert.match(frame?.listener as string, /^[\w-]{8,64}$/);
      assert.deepEqual(frame?.groups, [{ identifiers: { Metrics: 59 }, secureKey: 'c0ffee' }]);
      if (transport !== 'websocket') assert.match(`${headers['content-type']}`, /^text\/plain/);
    });

    test('500 pushes over 50 cuts come once and in order', async () => {
      const chance = seeded(42);
      const names = ['a', 'b', 'c'];
      const { listener, got } = listen({ identifiers: names, ...only });
      await connected(listener);
      for (let i = 0; i < 500; i++) {
        server.push(pick(chance, names), `${i}`);
        if (i % 10 === 9) {
          if (chance() < 0.5) await pause(chance() * 10);
          server.cut();
        }
      }
      await until(() => got.length >= 500, 'all of them', 20_000);
      await pause(50);
      assert.deepEqual(
        got.map(([text]) => text),
        server.kept.map(({ text }) => text),
      );
    });

    test('stop() within a callback ends the pushes', async () => {
      const got: string[] = [];
      const noticed: string[] = [];
      const { listener } = listen({
        ...only,
        callback: (text) => {
          got.push(text);
          listener.stop();
        },
      });
      listener.on('push', ({ data }) => noticed.push(data));
      await connected(listener);
      for (const text of ['one', 'two', 'three']) server.push('chat', text);
      await until(() => listener.state === 'stopped', 'stopped');
      await until(() => server.joined.size === 0, 'the server noticed');
      await pause(50);
      assert.deepEqual([got, noticed], [['one'], []]);
    });

    test('reconnect is obeyed with the same listener id', async () => {
      const { listener, got } = listen(only);
      await until(() => listener.state === 'connected' && server.joined.size, 'joined');
      server.say({ type: 'reconnect', after: 2_000 });
      await until(() => listener.state === 'waiting', 'waiting');
      server.push('chat', 'meanwhile');
      await until(() => got.length === 1, 'the push of meanwhile');
      assert.equal(new Set(server.asked.map(({ listen: frame }) => frame?.listener)).size, 1);
    });

    test('a silent connection is given up', async () => {
      server.heartbeat = 1;
      const { listener } = listen(only);
      await connected(listener);
      const states: string[] = [];
      listener.on('state', ({ state }) => states.push(state));
      server.give = () => {};
      server.push('chat', 'never given');
      await until(() => states.includes('waiting'), 'given up');
    });
  });
}

describe('falling back', () => {
  const html = (to: ServerResponse, status: number): true => {
    to.writeHead(status, { 'Content-Type': 'text/html' }).end('<h1>Bad Gateway</h1>');
    return true;
  };

  test('without a WebSocket constructor it streams', async () => {
    const { WebSocket } = globalThis;
    Object.assign(globalThis, { WebSocket: undefined });
    const { listener } = listen();
    await connected(listener);
    Object.assign(globalThis, { WebSocket });
    assert.equal(listener.transport, 'stream');
  });

  test('after a refused upgrade and an HTML answer it polls', async () => {
    server.script = (transport, to) => {
      if (transport === 'websocket') to.end('HTTP/1.1 404 Not Found\r\n\r\n');
      return (
        transport === 'websocket' || (transport === 'stream' && html(to as ServerResponse, 404))
      );
    };
    const { listener, got } = listen();
    await connected(listener);
    assert.equal(listener.transport, 'poll');
    server.push('chat', 'hi');
    await until(() => got.length, 'the push');
    assert.deepEqual(said, []);
  });

  test('HTML with status 200 is no stream', async () => {
    server.script = (transport, to) => transport === 'stream' && html(to as ServerResponse, 200);
    const { listener } = listen({ transports: ['stream', 'poll'] });
    await connected(listener);
    assert.equal(listener.transport, 'poll');
  });

  test('after a silent WebSocket and a held stream it polls', async () => {
    server.script = (transport, to) => {
      if (transport === 'stream') (to as ServerResponse).writeHead(200).flushHeaders();
      return transport !== 'poll';
    };
    const { listener } = listen();
    await connected(listener);
    assert.equal(listener.transport, 'poll');
  });

  test('an unreachable server is told once and tried again', async () => {
    server.script = (_, to) => {
      to.destroy();
      return true;
    };
    const { listener } = listen();
    await until(() => server.asked.length > 6, 'attempts');
    assert.equal(listener.state === 'failed', false);
    assert.equal(said.length, 1);
    assert.ok(said[0]?.startsWith(`Cometify: unreachable: No answer from ${server.url}/`), said[0]);
    server.script = () => false;
    await connected(listener);
  });
});

describe('refusals by the server', () => {
  const refuse = (status: number, body: object, headers = {}): void => {
    server.script = (_, to) => problem(to as ServerResponse, status, body, headers);
  };

  test('a 4xx problem is fatal, and its text shows no key', async () => {
    refuse(403, { code: 'not_authorized', detail: 'The key s3cret is unknown.' });
    const { listener } = listen({ transports: ['stream', 'poll'], secureKey: 's3cret' });
    await until(() => listener.state === 'failed', 'failed');
    assert.deepEqual(said, ['Cometify: not_authorized: The key … is unknown.']);
    await pause(100);
    assert.equal(server.asked.length, 1);
  });

  test('429 waits for Retry-After, and on("error") is told', async () => {
    refuse(429, { code: 'too_many_listeners', detail: 'Wait.' }, { 'Retry-After': '3' });
    const { listener } = listen({ transports: ['stream', 'poll'] });
    const told: object[] = [];
    const waits: (number | null)[] = [];
    listener.on('error', (notice) => told.push(notice));
    listener.on('state', ({ state, after }) => state === 'waiting' && waits.push(after));
    await until(() => waits.length > 1, 'two refusals');
    assert.ok(waits.every((wait) => (wait as number) >= 3_000));
    assert.equal(server.transports, 'stream stream');
    assert.deepEqual(told, [
      { type: 'error', code: 'too_many_listeners', detail: 'Wait.', fatal: false },
    ]);
    assert.deepEqual(said, []);
  });

  test('an error frame is told with its own code', async () => {
    const { listener } = listen();
    await connected(listener);
    server.say({ type: 'error', code: 'not_authorized', detail: 'Gone.', retry: null });
    await until(() => listener.state === 'failed', 'failed');
    assert.deepEqual(said, ['Cometify: not_authorized: Gone.']);
  });

  test('a close code without a frame is followed', async () => {
    for (const [code, state] of [
      [4003, 'failed'],
      [4103, 'waiting'],
      [4200, 'waiting'],
      [1011, 'waiting'],
    ] as const) {
      const { listener } = listen();
      await connected(listener);
      for (const websocket of server.websockets.clients) websocket.close(code, 'Because.');
      await until(() => listener.state === state, `${code}: ${state}`);
      listener.stop();
    }
    assert.deepEqual(said, ['Cometify: 4003: Because.', 'Cometify: 4103: Because.']);
  });

  test('warnings go to the console, once, without a key', async () => {
    server.warnings = ['c0ffee does not match'];
    const { listener } = listen({ secureKey: 'c0ffee' });
    await connected(listener);
    server.cut();
    await until(() => listener.state === 'waiting', 'cut');
    await connected(listener);
    assert.deepEqual(said, ['Cometify: warning: … does not match']);
  });
});

describe('streams', () => {
  const cuts: Record<string, (bytes: Buffer) => Buffer[]> = {
    'byte by byte': (bytes) => Array.from(bytes, (byte) => Buffer.from([byte])),
    'in threes': (bytes) =>
      Array.from({ length: Math.ceil(bytes.length / 3) }, (_, i) =>
        bytes.subarray(i * 3, i * 3 + 3),
      ),
  };
  for (const [how, cut] of Object.entries(cuts)) {
    test(`lines survive a network that cuts ${how}`, async () => {
      let writing = Promise.resolve();
      server.write = (response, bytes) => {
        for (const part of cut(bytes)) {
          writing = writing.then(async () => {
            response.write(part);
            await new Promise(setImmediate);
          });
        }
      };
      const { listener, got } = listen({ transports: ['stream'] });
      await connected(listener);
      server.push('chat', TEXT);
      server.push('chat', TEXT.repeat(5));
      await until(() => got.length === 2, 'both');
      assert.deepEqual(
        got.map(([text]) => text),
        [TEXT, TEXT.repeat(5)],
      );
    });
  }

  test('a push in a line that was cut is replayed', async () => {
    const { listener, got } = listen({ transports: ['stream'] });
    await connected(listener);
    server.write = (response, bytes) => {
      response.end(bytes.subarray(0, bytes.length - 4));
    };
    server.push('chat', 'whole');
    server.write = (response, bytes) => {
      response.write(bytes);
    };
    await until(() => got.length, 'the push');
    assert.deepEqual(got, [['whole', null, 'chat']]);
    assert.equal(server.asked[1]?.listen?.groups[0]?.position, 1_000);
  });
});

describe('the page', () => {
  test('stopped by its first notice, it hears no push', async () => {
    const { listener, got } = listen({ transports: ['poll'] });
    await connected(listener);
    happen('online');
    await until(() => server.joined.size, 'a poll that waits');
    listener.on('state', () => listener.stop());
    server.push('chat', 'too late');
    await until(() => listener.state === 'stopped', 'stopped');
    await pause(30);
    assert.deepEqual(got, []);
  });

  test('a stopped or failed listener removes its event listeners', async () => {
    const before = watching.size;
    const { listener } = listen();
    await connected(listener);
    assert.equal(watching.size, before + 4);
    listener.stop();
    assert.equal(watching.size, before);
    const other = listen().listener;
    await connected(other);
    server.say({ type: 'error', code: 'x', detail: '', retry: null });
    await until(() => other.state === 'failed', 'failed');
    assert.equal(watching.size, before);
    other.subscribe('news');
    await connected(other);
    assert.equal(watching.size, before + 4);
  });

  test('online reconnects, pagehide closes, pageshow resumes', async () => {
    const { listener, got } = listen();
    await connected(listener);
    happen('online');
    assert.equal(listener.state, 'connecting');
    await connected(listener);
    happen('pagehide');
    assert.equal(listener.state, 'waiting');
    await until(() => server.joined.size === 0, 'closed');
    server.push('chat', 'while away');
    happen('pageshow');
    await until(() => got.length, 'what came while away');
  });

  test('becoming visible wakes a listener, becoming hidden does not', async () => {
    const { listener } = listen();
    await connected(listener);
    happen('pagehide');
    Object.assign(document, { hidden: true });
    happen('visibilitychange');
    assert.equal(listener.state, 'waiting');
    Object.assign(document, { hidden: false });
    happen('visibilitychange');
    assert.equal(listener.state, 'connecting');
  });

  test('a callback may be a dotted name, declared later', async () => {
    const { listener, got } = listen({ callback: 'app.onPush' });
    await connected(listener);
    server.push('chat', 'too early');
    await until(() => said.length, 'a word about it');
    assert.match(said[0] as string, /no_callback: .*app\.onPush/);
    const app = {
      onPush(...given: unknown[]) {
        got.push([this === app, ...given]);
      },
    };
    Object.assign(globalThis, { app });
    server.push('chat', 'hi', 5);
    await until(() => got.length, 'the push');
    assert.deepEqual(got, [[true, 'hi', 5, 'chat']]);
    assert.equal(said.length, 1);
  });

  test('a callback that throws costs no push, and is reported', async () => {
    thrown.length = 0;
    const got: string[] = [];
    const { listener } = listen({
      callback: (text) => {
        got.push(text);
        throw new Error(text);
      },
    });
    await connected(listener);
    server.push('chat', 'one');
    server.push('chat', 'two');
    await until(() => thrown.length === 2, 'both thrown');
    assert.deepEqual(got, ['one', 'two']);
    assert.equal(listener.state, 'connected');
  });

  test('a callback that cannot be looked up costs no later push', async () => {
    thrown.length = 0;
    const got: string[] = [];
    Object.defineProperty(globalThis, 'broken', {
      configurable: true,
      get() {
        throw new Error('no access');
      },
    });
    const { listener } = listen({ callback: 'broken.onPush', transports: ['poll'] });
    listener.on('push', ({ data }) => got.push(data));
    await connected(listener);
    for (const text of ['one', 'two']) server.push('chat', text);
    await until(() => got.length === 2 && thrown.length === 2, 'both');
    assert.deepEqual(got, ['one', 'two']);
    assert.match(`${thrown}`, /no access/);
    assert.deepEqual(said, []);
  });

  test('stopped by one handler, the next one hears only that', async () => {
    const { listener } = listen();
    const states: string[] = [];
    const pushes: string[] = [];
    await connected(listener);
    listener.on('push', () => listener.stop());
    listener.on('push', ({ data }) => pushes.push(data));
    listener.on('state', ({ state }) => states.push(state));
    server.push('chat', 'the last');
    await until(() => listener.state === 'stopped', 'stopped');
    assert.deepEqual([states, pushes], [['stopped'], []]);
    const other = listen().listener;
    other.on('state', ({ state }) => state === 'connected' && other.stop());
    other.on('state', ({ state }) => states.push(state));
    await until(() => other.state === 'stopped', 'stopped');
    assert.deepEqual(states, ['stopped', 'connecting', 'stopped']);
  });

  test('a handler hears everything until off() removes it', async () => {
    const { listener } = listen();
    const states: string[] = [];
    const hear = ({ state }: { state: string }): number => states.push(state);
    assert.equal(listener.state, 'idle');
    assert.equal(listener.on('state', hear), listener);
    const gaps: string[][] = [];
    listener.on('gap', ({ identifiers }) => gaps.push(identifiers));
    await connected(listener);
    server.say({ type: 'gap', identifiers: ['chat'] });
    await until(() => gaps.length, 'the gap');
    assert.deepEqual(gaps, [['chat']]);
    listener.off('state', hear).stop();
    assert.deepEqual(states, ['connecting', 'connected']);
    assert.equal(listener.state, 'stopped');
  });

  test('each start() is an independent listener', async () => {
    const got: string[] = [];
    const cometify = init({
      apiKey: '37282591',
      identifiers: 'chat',
      server: `${server.url}/`,
      callback: (text) => got.push(text),
    });
    const pair = [cometify.start(), cometify.start()] as const;
    pair.forEach(stopAfter);
    await connected(pair[0]);
    await connected(pair[1]);
    pair[0].stop();
    server.push('chat', 'hi');
    await until(() => got.length, 'one push');
    await pause(30);
    assert.deepEqual(got, ['hi']);
    assert.notEqual(server.asked[0]?.listen?.listener, server.asked[1]?.listen?.listener);
  });
});
