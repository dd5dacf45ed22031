/** subscribe, unsubscribe and tokens, against a server. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { init } from '../src/index';
import type { Options } from '../src/options';
import type { Listener } from '../src/subscription';
import type { Transport } from '../src/transport';
import type { Listen } from './fake-server';
import { lastAsked, said, server, stopAfter } from './server-each';
import { happen, pause, until } from './world';

let pushing: ReturnType<typeof setInterval> | undefined;

afterEach(() => clearInterval(pushing));

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

/** Waits for a `listen` with so many groups, and returns them. */
async function askedFor(many: number): Promise<Listen['groups']> {
  await until(() => lastAsked().length === many, `${many} groups`);
  return lastAsked();
}

/** A JWT that expires after so many seconds of the listener's clock. */
function jwt(seconds: number, more: object = {}): string {
  const exp = Date.now() / 1000 + seconds;
  const payload = Buffer.from(JSON.stringify({ exp, name: '?~>ÿ', ...more })).toString('base64url');
  return `head.${payload}.signature`;
}

const ALL: Transport[] = ['websocket', 'stream', 'poll'];

for (const transport of ALL) {
  describe(`groups at run time: ${transport}`, () => {
    test('subscribe joins another group without losing a push', async () => {
      const { listener, got } = listen({ transports: [transport] });
      await connected(listener);
      server.push('chat', 'one');
      const own: unknown[][] = [];
      const returned = listener.subscribe(['News', 'sport'], {
        secureKey: 'k',
        callback: (...given) => own.push(given),
      });
      assert.notEqual(returned, listener);
      server.push('chat', 'two');
      const [, second] = await askedFor(2);
      assert.deepEqual([second?.identifiers, second?.secureKey], [['News', 'sport'], 'k']);
      await until(() => server.joined.size, 'joined');
      server.push('news', 'three', 3);
      server.push('chat', 'four');
      await until(() => got.length === 3 && own.length === 1, 'all four');
      assert.deepEqual(
        got.map(([text]) => text),
        ['one', 'two', 'four'],
      );
      assert.deepEqual(own, [['three', 3, 'News']]);
      if (transport === 'websocket')
        assert.deepEqual([server.asked.length, server.asked[0]?.listens], [1, 2]);
    });

    test('unsubscribe leaves a name, or drops it from a signed list', async () => {
      const { listener, got } = listen({ identifiers: ['a', 'b'], transports: [transport] });
      listener.subscribe(['C', 'd'], { secureKey: 'k' });
      await connected(listener);
      assert.equal((await askedFor(2)).length, 2);
      listener.unsubscribe(['B', 'c']);
      await until(() => `${lastAsked()[0]?.identifiers}` === 'a', 'b is left');
      assert.deepEqual(lastAsked()[1]?.identifiers, ['C', 'd']);
      await until(() => server.joined.size, 'joined');
      for (const name of ['b', 'c', 'd', 'a']) server.push(name, name);
      await until(() => got.length === 2, 'what is left');
      listener.unsubscribe('d');
      await askedFor(1);
      assert.deepEqual(
        got.map(([text]) => text),
        ['d', 'a'],
      );
    });
  });
}

describe('groups at run time', () => {
  test('changes of one turn are told in one listen', async () => {
    const { listener } = listen();
    listener.subscribe('a').subscribe('b');
    await connected(listener);
    assert.deepEqual([server.asked.length, server.asked[0]?.listens], [1, 1]);
    assert.equal(lastAsked().length, 3);
    listener.subscribe('c').unsubscribe('a').subscribe({ d: 5 });
    await askedFor(4);
    await pause(20);
    assert.equal(server.asked[0]?.listens, 2);
    assert.deepEqual(
      lastAsked().map(({ identifiers }) => identifiers),
      [['chat'], ['b'], ['c'], { d: 5 }],
    );
  });

  test('a name with an internal id can be unsubscribed', async () => {
    const { listener } = listen({ identifiers: { a: 1, b: 2 } });
    await connected(listener);
    listener.unsubscribe('A');
    await until(() => server.asked[0]?.listens === 2, 'asked again');
    assert.deepEqual(lastAsked()[0]?.identifiers, { b: 2 });
  });

  test('without groups it is idle, until there is one again', async () => {
    const { listener, got } = listen();
    await connected(listener);
    listener.unsubscribe('chat');
    await until(() => server.joined.size === 0, 'gone');
    assert.equal(listener.state, 'idle');
    listener.subscribe('news');
    await connected(listener);
    server.push('news', 'hi');
    await until(() => got.length, 'the push');
  });

  test('without groups before the start, it connects to nothing', async () => {
    const { listener, got } = listen();
    listener.unsubscribe('chat');
    await pause(30);
    assert.deepEqual([listener.state, server.asked.length], ['idle', 0]);
    listener.subscribe('news').unsubscribe('news');
    await pause(30);
    assert.deepEqual([listener.state, server.asked.length], ['idle', 0]);
    listener.subscribe('news');
    await connected(listener);
    server.push('news', 'hi');
    await until(() => got.length, 'the push');
  });

  test('without groups while it waits, it becomes idle', async () => {
    const { listener } = listen();
    await connected(listener);
    happen('pagehide');
    assert.equal(listener.state, 'waiting');
    listener.unsubscribe('chat');
    await pause(5);
    assert.equal(listener.state, 'idle');
    happen('pageshow');
    await pause(5);
    assert.deepEqual([listener.state, server.asked.length], ['idle', 1]);
  });

  test('a wrong group is a TypeError and changes nothing', async () => {
    const { listener } = listen();
    assert.throws(() => listener.subscribe('a b'), /^TypeError: Cometify needs identifiers/);
    assert.throws(() => listener.subscribe('a', { callback: '' }), /needs callback/);
    for (const none of [[], {}]) {
      assert.throws(() => listener.subscribe(none), /^TypeError: Cometify needs identifiers/);
    }
    await connected(listener);
    assert.equal(lastAsked().length, 1);
  });
});

describe('tokens', () => {
  test('a token may be a string, a promise or a function', async () => {
    const token = jwt(3_600);
    for (const given of [token, Promise.resolve(token), () => token, async () => token]) {
      const { listener } = listen({ token: given });
      await connected(listener);
      assert.deepEqual(lastAsked(), [{ identifiers: ['chat'], token }]);
      listener.stop();
    }
  });

  test('a slow token does not count against the transport', async () => {
    const { listener } = listen({ token: () => pause(600).then(() => jwt(3_600)) });
    await connected(listener);
    assert.equal(server.transports, 'websocket');
  });

  for (const transport of ALL) {
    test(`a token is renewed before it expires: ${transport}`, async () => {
      server.heartbeat = 3;
      const tokens: string[] = [];
      const { listener, got } = listen({
        transports: [transport],
        token: async () => {
          tokens.push(jwt(16, { number: tokens.length }));
          return tokens.at(-1) as string;
        },
      });
      const states: string[] = [];
      listener.on('state', ({ state }) => states.push(state));
      await connected(listener);
      let pushed = 0;
      pushing = setInterval(() => server.push('chat', `${pushed++}`), 20);
      await until(
        () => lastAsked()[0]?.token === tokens[2] && tokens.length > 2,
        'the third',
        20_000,
      );
      clearInterval(pushing);
      await until(() => got.length === pushed, 'all pushes');
      assert.deepEqual(states, ['connecting', 'connected']);
      if (transport === 'websocket') assert.equal(server.asked.length, 1);
    });
  }

  test('between two polls a token is asked for once', async () => {
    // Each answer ends so late that most tokens are due at that moment.
    server.give = (one, frames) => {
      server.joined.delete(one);
      for (const frame of frames) one.send(frame);
      setTimeout(() => one.end(), 2_000);
    };
    let many = 0;
    let open = 0;
    const { listener } = listen({
      transports: ['poll'],
      token: async () => {
        many++;
        assert.equal(open++, 0);
        await 0;
        open--;
        return jwt(16);
      },
    });
    await connected(listener);
    pushing = setInterval(() => server.push('chat', 'hi'), 20);
    await until(() => many === 5, 'the fifth');
    assert.deepEqual(said, []);
  });

  for (const transport of ALL) {
    test(`a reconnect waits for a running renewal: ${transport}`, async () => {
      let many = 0;
      let give: (token: string) => void = () => {};
      const { listener } = listen({
        transports: [transport],
        token: () => {
          if (++many === 1) return jwt(16);
          return new Promise<string>((resolve) => {
            give = resolve;
          });
        },
      });
      await connected(listener);
      pushing = setInterval(() => server.push('chat', 'hi'), 20);
      await until(() => many === 2, 'the renewal');
      clearInterval(pushing);
      happen('online');
      await pause(20);
      assert.equal(many, 2);
      const token = jwt(3_600);
      give(token);
      await connected(listener);
      await until(() => lastAsked()[0]?.token === token, 'the new token');
      assert.equal(many, 2);
    });
  }

  test('a stopped listener asks the page for no token', async () => {
    const { listener } = listen();
    await connected(listener);
    listener.stop();
    let many = 0;
    listener.subscribe('x', { token: () => jwt(++many) });
    await pause(20);
    assert.equal(many, 0);
  });

  test('the tokens of several groups are asked for at once', async () => {
    const asked: string[] = [];
    let give: (token: string) => void = () => {};
    const { listener } = listen({
      token: () => {
        asked.push('chat');
        return new Promise<string>((resolve) => {
          give = resolve;
        });
      },
    });
    listener.subscribe('x', {
      token: () => {
        asked.push('x');
        return jwt(3_600);
      },
    });
    await until(() => asked.length, 'the first question');
    assert.deepEqual(asked, ['chat', 'x']);
    listener.stop();
    give(jwt(3_600));
    await pause(20);
    assert.equal(asked.length, 2, 'nothing is asked after stop()');
    assert.equal(server.asked.length, 0);
  });

  for (const transport of ALL) {
    test(`a token that never comes is asked for again: ${transport}`, async () => {
      server.heartbeat = 3;
      let many = 0;
      const { listener, got } = listen({
        transports: [transport],
        token: () => (++many % 2 ? new Promise<string>(() => {}) : jwt(16)),
      });
      const told: unknown[] = [];
      listener.on('error', ({ code, fatal, identifiers }) => told.push([code, fatal, identifiers]));
      await connected(listener);
      assert.deepEqual([many, lastAsked()[0]?.token], [1, undefined]);
      for (const asked of [2, 4]) {
        await until(() => many >= asked && lastAsked()[0]?.token, `answer ${asked}`);
        server.push('chat', `${asked}`);
        await until(() => got.at(-1)?.[0] === `${asked}`, 'it goes on');
      }
      assert.deepEqual(told[0], ['token_failed', false, ['chat']]);
    });
  }

  test('a missing token delays other groups only briefly', async () => {
    const { listener } = listen();
    listener.on('error', () => {});
    await connected(listener);
    let many = 0;
    listener.subscribe('x', { token: () => (many++ ? jwt(3_600) : new Promise<string>(() => {})) });
    await until(() => many === 1, 'asked');
    listener.subscribe('y');
    assert.equal((await askedFor(3))[1]?.token, undefined);
    await until(() => lastAsked()[1]?.token, 'the token of another try');
    assert.equal(many, 2);
  });

  test('an expired token is replaced and the cursor kept', async () => {
    let many = 0;
    const { listener, got } = listen({ token: () => `a.b.${++many}` });
    await connected(listener);
    server.push('chat', 'one');
    await until(() => got.length, 'one');
    server.say({ type: 'error', code: 'invalid_token', detail: 'It has expired.', retry: null });
    await until(() => server.joined.size === 0, 'ended');
    server.push('chat', 'two');
    await until(() => got.length === 2, 'two');
    assert.equal(lastAsked()[0]?.token, 'a.b.2');
    assert.deepEqual(said, []);
  });

  test('a failed renewal keeps the connection and is repeated', async () => {
    let many = 0;
    server.heartbeat = 60;
    const { listener } = listen({
      token: async () => {
        if (++many === 2 || many === 3) throw new Error('later');
        return jwt(many === 1 ? 31 : 3_600, { many });
      },
    });
    await connected(listener);
    await until(() => many === 4, 'asked for again');
    await until(() => server.asked[0]?.listens === 2, 'told to the server');
    assert.equal(server.asked.length, 1);
    assert.deepEqual(said, ['Cometify: token_failed: No token: Error: later']);
  });

  test('a listener whose right ended at exp comes back from its cursor', async () => {
    let many = 0;
    server.heartbeat = 60;
    const { listener, got } = listen({
      token: async () => jwt(3_600, { many: ++many }),
    });
    await connected(listener);
    server.push('chat', 'before');
    await until(() => got.length === 1, 'the push before');
    const warnings = ['It has expired.'];
    server.say({
      type: 'ready',
      heartbeat: 60,
      secret: [],
      warnings,
      positions: [9_999_999_999_999],
    });
    await until(() => server.asked.length === 2 && listener.state === 'connected', 'it is back');
    const [first, second] = server.asked.map(({ listen: frame }) => frame?.groups[0]);
    assert.ok(first && second);
    assert.ok((second.position as number) < 9_999_999_999_999, 'the cursor did not move');
    server.push('chat', 'last');
    await until(() => got.length === 2, 'the last');
    assert.deepEqual(said, ['Cometify: warning: It has expired.']);
  });

  test('no token appears in the console', async () => {
    const token = jwt(3_600);
    server.warnings = [`${token} is odd`];
    const { listener } = listen({ token });
    await connected(listener);
    assert.deepEqual(said, ['Cometify: warning: … is odd']);
  });
});

describe('the transport that worked', () => {
  const deaf = (transport: string, to: { end(text: string): void }): boolean => {
    if (transport === 'websocket') to.end('HTTP/1.1 404 Not Found\r\n\r\n');
    return transport === 'websocket';
  };

  test('is tried first by the next page', async () => {
    server.script = deaf as typeof server.script;
    const first = listen().listener;
    await connected(first);
    assert.equal(server.transports, 'websocket stream');
    first.stop();
    await connected(listen().listener);
    assert.equal(server.transports, 'websocket stream stream');
  });

  test('is forgotten when the network changes', async () => {
    server.script = deaf as typeof server.script;
    const { listener } = listen();
    await connected(listener);
    server.script = () => false;
    happen('online');
    await connected(listener);
    assert.equal(listener.transport, 'websocket');
  });

  test('is ignored by a page that does not list it', async () => {
    sessionStorage[`cometify ${server.url}/37282591/`] = 'websocket';
    const { listener } = listen({ transports: ['stream', 'poll'] });
    await connected(listener);
    assert.equal(server.transports, 'stream');
  });

  test('is forgotten without storage, and nothing else breaks', async () => {
    const kept = Object.getOwnPropertyDescriptor(globalThis, 'sessionStorage');
    Object.defineProperty(globalThis, 'sessionStorage', {
      configurable: true,
      get() {
        throw new Error('SecurityError');
      },
    });
    try {
      await connected(listen().listener);
      assert.deepEqual(said, []);
    } finally {
      Object.defineProperty(globalThis, 'sessionStorage', kept as PropertyDescriptor);
    }
  });
});

test('groups that end while their token is awaited are not asked for', async () => {
  const { listener } = listen({ identifiers: [] });
  let isRefused = false;
  const secret = listener.subscribe('secret', {
    token: async () => {
      if (isRefused) secret.stop();
      return 'x.y.z';
    },
  });
  await askedFor(1);
  // The page has used up the changes that it may tell at once.
  for (let i = 0; i < 30; i++) {
    listener.subscribe(`a${i}`).stop();
    await pause(0);
  }
  isRefused = true;
  server.say({ type: 'error', code: 'invalid_token', detail: '', retry: 0 });
  await until(() => listener.state === 'idle', 'idle');
  for (const { listen } of server.asked) assert.notDeepEqual(listen?.groups, []);
  listener.subscribe('public');
  await until(() => `${lastAsked()[0]?.identifiers}` === 'public', 'the next group');
});
