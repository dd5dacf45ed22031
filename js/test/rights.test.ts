/** Tokens that fail cost their own group its right, and nothing else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../src/index';
import type { Connection, Subscription } from '../src/subscription';
import type { Token } from '../src/token';
import type { Transport } from '../src/transport';
import { lastAsked, said, server, stopAfter } from './server-each';
import { happen, pause, until } from './world';

let connection: Connection;

const ALL: Transport[] = ['websocket', 'stream', 'poll'];

function open(transport: Transport = 'websocket'): void {
  connection = stopAfter(
    connect({ apiKey: 37282591, server: server.url, transports: [transport] }),
  );
}

/** The token of each group of the last `listen`. */
function tokens(): (string | undefined)[] {
  return lastAsked().map(({ token }) => token);
}

/** The client must have the answer too, because it trusts a token only then. */
async function asked(...wanted: (string | undefined)[]): Promise<void> {
  const text = JSON.stringify(wanted);
  const isAsked = () => JSON.stringify(tokens()) === text && server.joined.size;
  await until(() => isAsked() && connection.state === 'connected', text);
}

function hearing(subscription: Subscription): string[] {
  const got: string[] = [];
  subscription.on('push', ({ data }) => got.push(data));
  return got;
}

function errors(subscription: Subscription): unknown[] {
  const told: unknown[] = [];
  subscription.on('error', ({ code, fatal, identifiers }) => told.push([code, fatal, identifiers]));
  return told;
}

function fails(): never {
  throw new Error('the shop is closed');
}

/** Refuses every `listen` that has one of these tokens. */
function refuse(...bad: string[]): void {
  const detail = 'The token is not accepted: it is not a JWT.';
  server.accept = ({ groups }) =>
    groups.some(({ token }) => bad.includes(token as string))
      ? { type: 'error', code: 'invalid_token', detail, retry: null }
      : undefined;
}

describe('a token function that throws', () => {
  test('is asked again although nothing is left of a private group without it', async () => {
    const detail = 'Nothing is left to listen to.';
    server.accept = ({ groups }) =>
      groups.some(({ token }) => token)
        ? undefined
        : { type: 'error', code: 'not_authorized', detail, retry: null };
    open();
    let calls = 0;
    const subscription = connection.subscribe('user_7', {
      token: () => (calls++ ? 'good' : fails()),
    });
    const told = errors(subscription);
    await until(() => connection.state === 'connected', 'the token came later', 9_000);
    assert.deepEqual(tokens(), ['good']);
    assert.ok(
      told.every((one) => (one as unknown[])[1] === false),
      JSON.stringify(told),
    );
  });

  for (const transport of ALL) {
    test(`costs its group the right, and nothing else: ${transport}`, async () => {
      open(transport);
      const [open_, denied] = [
        connection.subscribe('news'),
        connection.subscribe('Orders', { token: fails }),
      ];
      const [news, orders] = [hearing(open_), hearing(denied)];
      const [none, own, all] = [errors(open_), errors(denied), errors(connection)];
      await asked(undefined, undefined);
      server.push('news', 'one');
      server.push('orders', 'public');
      await until(() => news.length && orders.length, 'both hear public pushes');
      await until(() => own.length > 2, 'asked again');
      server.push('news', 'two');
      await until(() => news.length === 2, 'it goes on');
      assert.deepEqual(own[0], ['token_failed', false, ['Orders']]);
      assert.deepEqual([none, all], [[], own]);
      assert.deepEqual(said, []);
      if (transport === 'websocket') assert.equal(server.asked.at(-1)?.listens, 1);
    });
  }

  test('is called again as soon as it may be', async (context) => {
    const later = globalThis.setTimeout;
    context.after(() => Object.assign(globalThis, { setTimeout: later }));
    /** The delays until the listener looks at the clock again, since the function has thrown. */
    const delays: number[] = [];
    let calls = 0;
    const counting = (run: () => void, delay = 0, ...given: unknown[]) => {
      const [input] = given as { type?: string }[];
      if (calls && input?.type === 'tick') delays.push(delay);
      return (later as (...all: unknown[]) => unknown)(run, delay, ...given);
    };
    Object.assign(globalThis, { setTimeout: counting });
    open();
    connection.subscribe('orders', {
      token: () => {
        calls++;
        return calls === 2 ? 'a.b.c' : fails();
      },
    });
    await asked('a.b.c');
    assert.equal(calls, 2);
    assert.ok(Math.min(...delays) <= 1_000, `${delays}`);
  });

  test('is told in the console, and called again with backoff', async () => {
    const times: number[] = [];
    open();
    connection.subscribe('orders', {
      token: async () => {
        times.push(Date.now());
        return times.length > 4 ? 'a.b.c' : fails();
      },
    });
    await asked(undefined);
    await asked('a.b.c');
    assert.deepEqual(said, ['Cometify: token_failed: No token: Error: the shop is closed']);
    const waits = times.slice(1).map((time, i) => time - (times[i] as number));
    assert.ok(
      waits.every((wait, i) => wait >= 1_000 * 2 ** i),
      `${waits}`,
    );
    const { transports } = server;
    assert.equal(transports, 'websocket');
  });

  test('when a token has expired, the public pushes go on', async () => {
    let many = 0;
    open();
    const got = hearing(
      connection.subscribe('orders', { token: () => (many++ ? fails() : 'a.b.c') }),
    );
    const news = hearing(connection.subscribe('news'));
    await asked('a.b.c', undefined);
    refuse('a.b.c');
    server.say({ type: 'error', code: 'invalid_token', detail: 'It has expired.', retry: null });
    await asked(undefined, undefined);
    server.push('news', 'hi');
    server.push('orders', 'public');
    await until(() => news.length && got.length, 'both');
    assert.notEqual(connection.state, 'failed');
  });
});

describe('no token', () => {
  for (const none of [null, '', undefined]) {
    for (const token of [none, () => none, async () => none, Promise.resolve(none)]) {
      const how = typeof token === 'function' ? 'a function of' : `${Object(token) === token}`;
      test(`${how} ${JSON.stringify(none)} is no right, and no error`, async () => {
        open();
        const got = hearing(connection.subscribe('orders', { token: token as Token }));
        await asked(undefined);
        server.push('orders', 'public');
        await until(() => got.length, 'the public push');
        assert.deepEqual(said, []);
      });
    }
  }
});

describe('a token that is refused once', () => {
  for (const transport of ALL) {
    test(`is made again a second later, after a disconnect: ${transport}`, async () => {
      const disconnected = Date.now() + 900;
      const detail = 'It was issued before its user was disconnected.';
      server.accept = ({ groups }) =>
        Number(groups[0]?.token) <= disconnected
          ? { type: 'error', code: 'invalid_token', detail, retry: null }
          : undefined;
      open(transport);
      const told = errors(connection.subscribe('orders', { token: () => `${Date.now()}` }));
      await until(() => connection.state === 'connected', 'connected', 4_000);
      assert.ok(Number(tokens()[0]) > disconnected, 'it has kept its right');
      assert.deepEqual(told, []);
    });
  }

  test('is not made again at once because the page changes what it listens to', async () => {
    const disconnected = Date.now() + 900;
    const detail = 'It was issued before its user was disconnected.';
    const refused: unknown[] = [];
    server.accept = ({ groups }) => {
      const [token] = groups.map((group) => group.token);
      if (Number(token) > disconnected) return undefined;
      refused.push(token);
      return { type: 'error', code: 'invalid_token', detail, retry: null };
    };
    open();
    connection.subscribe('orders', { token: () => `${Date.now()}` });
    await until(() => connection.state === 'waiting', 'refused');
    connection.subscribe('news');
    await until(() => connection.state === 'connected', 'connected', 4_000);
    assert.equal(refused.length, 1);
    assert.ok(Number(tokens()[0]) > disconnected, 'it has kept its right');
  });
});

describe('a token that is refused twice', () => {
  for (const transport of ALL) {
    test(`costs its group the right, not the connection: ${transport}`, async () => {
      let many = 0;
      refuse('bad.1', 'bad.2');
      open(transport);
      const bad = connection.subscribe('orders', { token: () => `bad.${++many}` });
      const good = connection.subscribe('news');
      const [orders, news, told] = [hearing(bad), hearing(good), errors(bad)];
      await asked(undefined, undefined);
      server.push('orders', 'public');
      server.push('news', 'hi');
      await until(() => orders.length && news.length, 'both');
      await pause(50);
      assert.equal(many, 2);
      assert.deepEqual(told, [['invalid_token', false, ['orders']]]);
    });
  }

  test('keeps the rights of groups whose token was accepted', async () => {
    open();
    connection.subscribe('good', { token: async () => 'good' });
    await asked('good');
    refuse('bad');
    const told = errors(connection.subscribe('orders', { token: 'bad' }));
    await until(() => told.length, 'told');
    await asked('good', undefined);
    assert.deepEqual(told, [['invalid_token', false, ['orders']]]);
    assert.notEqual(connection.state, 'failed');
  });

  test('of several bad ones each loses its right', async () => {
    refuse('bad', 'worse');
    open();
    connection.subscribe('a', { token: 'bad' });
    connection.subscribe('b', { token: () => 'worse' });
    connection.subscribe('c');
    await asked(undefined, undefined, undefined);
    assert.deepEqual(said, [
      'Cometify: invalid_token: The token is not accepted: it is not a JWT.',
    ]);
  });
});

describe('a subscription that is refused', () => {
  /** As a server does with private identifiers: without a right it takes the other groups alone. */
  function refusePrivate(): void {
    server.accept = ({ groups }) =>
      groups.every(({ identifiers }) => `${identifiers}` === 'user_7')
        ? { type: 'error', code: 'not_authorized', detail: 'It is private.', retry: null }
        : undefined;
  }

  /** An account with plain identifiers. */
  function refuseExtended(): void {
    server.accept = ({ groups }) =>
      groups.some(({ identifiers }) => /[.-]|\w{61}/.test(`${identifiers}`))
        ? { type: 'error', code: 'invalid_identifier', detail: 'No hyphen.', retry: null }
        : undefined;
  }

  for (const transport of ALL) {
    test(`does not silence one that comes later: ${transport}`, async () => {
      refusePrivate();
      open(transport);
      connection.subscribe('user_7', { token: () => null });
      await until(() => connection.state === 'failed', 'failed');
      const news = hearing(connection.subscribe('news'));
      await until(() => connection.state === 'connected', 'connected');
      server.push('news', 'heard');
      await until(() => news.length, 'heard');
      assert.deepEqual(said, ['Cometify: not_authorized: It is private.']);
    });
  }

  for (const transport of ALL) {
    test(`ends alone if its identifier is refused: ${transport}`, async () => {
      refuseExtended();
      open(transport);
      const news = connection.subscribe('news');
      const heard = hearing(news);
      const malformed = connection.subscribe(['my-news', 'shared']);
      const [others, own, all] = [errors(news), errors(malformed), errors(connection)];
      await until(() => connection.state === 'connected', 'connected');
      server.push('news', 'heard');
      await until(() => heard.length, 'heard');
      assert.deepEqual(own, [['invalid_identifier', false, ['my-news', 'shared']]]);
      assert.deepEqual([others, all], [[], own]);
      assert.deepEqual([malformed.state, news.state], ['stopped', 'connected']);
      assert.deepEqual(said, []);
    });
  }

  test('ends alone if one of its identifiers is too long', async () => {
    refuseExtended();
    open();
    // All names together are long, but each is short.
    const many = connection.subscribe(Array.from({ length: 20 }, (_, i) => `news_${i}`));
    const long = connection.subscribe('a'.repeat(61));
    const [others, own] = [errors(many), errors(long)];
    await until(() => connection.state === 'connected', 'connected');
    assert.deepEqual([own, others], [[['invalid_identifier', false, ['a'.repeat(61)]]], []]);
    assert.deepEqual([long.state, many.state], ['stopped', 'connected']);
    assert.deepEqual(said, []);
  });

  test('leaves the connection idle if its identifier is refused', async () => {
    refuseExtended();
    open();
    connection.subscribe('a.b');
    await until(() => said.length && connection.state === 'idle', 'idle');
    assert.deepEqual(said, ['Cometify: invalid_identifier: No hyphen.']);
    const news = hearing(connection.subscribe('news'));
    await until(() => connection.state === 'connected', 'connected');
    server.push('news', 'heard');
    await until(() => news.length, 'heard');
  });

  test('is not asked for again by itself', async () => {
    refusePrivate();
    open();
    connection.subscribe('user_7');
    await until(() => connection.state === 'failed', 'failed');
    happen('online');
    await pause(100);
    assert.deepEqual([connection.state, server.asked.length], ['failed', 1]);
  });

  test('leaves the connection idle when it stops', async () => {
    refusePrivate();
    open();
    const refused = connection.subscribe('user_7');
    await until(() => connection.state === 'failed', 'failed');
    refused.stop();
    await until(() => connection.state === 'idle', 'idle');
    assert.equal(server.asked.length, 1);
  });
});
