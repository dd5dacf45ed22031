/** Listeners that begin after a position that the page names. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, init } from '../src/index';
import type { Connection, Subscription } from '../src/subscription';
import type { Transport } from '../src/transport';
import { asked, lastAsked, server, stopAfter } from './server-each';
import { pause, until } from './world';

const ALL: Transport[] = ['websocket', 'stream', 'poll'];

function open(options: object = {}): Connection {
  return stopAfter(connect({ apiKey: 37282591, server: server.url, ...options }));
}

/** What this subscription or connection hears of pushes and gaps, in order. */
function hearing(listener: Subscription): string[] {
  const got: string[] = [];
  listener
    .on('push', ({ data }) => got.push(data))
    .on('gap', ({ identifiers }) => got.push(`gap ${identifiers}`));
  return got;
}

/** Pushes a text, and returns its position. */
function push(text: string): number {
  server.push('chat', text);
  return server.position;
}

async function hears(got: string[], ...wanted: string[]): Promise<void> {
  await until(() => got.length >= wanted.length, `${wanted}, and not ${got}`);
  assert.deepEqual(got, wanted);
}

for (const transport of ALL) {
  const options = { transports: [transport] };

  describe(`since: ${transport}`, () => {
    test('everything after the position comes, and nothing before it', async () => {
      push('before');
      const since = push('at');
      push('after');
      const connection = open(options);
      const got = hearing(connection.subscribe('chat', { since }));
      await hears(got, 'after');
      push('now');
      await hears(got, 'after', 'now');
      assert.equal(connection.state, 'connected');
    });

    test('only the first join begins there', async () => {
      const since = push('at');
      push('one');
      const got = hearing(open({ ...options, identifiers: 'chat', since: `${since}` }));
      await hears(got, 'one');
      server.cut();
      push('two');
      await hears(got, 'one', 'two');
      await until(() => lastAsked()[0]?.position === server.position, 'resumed at its cursor');
      await pause(20);
      assert.deepEqual(got, ['one', 'two']);
    });

    test('a position that is yet to come is a gap, and is not waited for', async () => {
      const connection = open(options);
      const got = hearing(connection.subscribe('chat', { since: server.position + 9_000 }));
      await until(() => got.length, 'the gap');
      push('now');
      await hears(got, 'gap chat', 'now');
    });

    test('a joined name begins there for the new subscription alone', async () => {
      const connection = open(options);
      const first = hearing(connection.subscribe('chat'));
      await asked(['chat']);
      const since = push('at');
      push('after');
      await hears(first, 'at', 'after');
      const second = hearing(connection.subscribe('chat', { since }));
      await hears(second, 'after');
      push('now');
      await hears(first, 'at', 'after', 'now');
      await hears(second, 'after', 'now');
    });
  });
}

describe('since', () => {
  test('goes with an internal id, and both count', async () => {
    const since = push('at');
    server.push('chat', 'known', 5);
    server.push('chat', 'new', 6);
    const got = hearing(open().subscribe({ chat: 5 }, { since }));
    await hears(got, 'new');
    assert.deepEqual(lastAsked(), [{ identifiers: { chat: 5 }, position: since }]);
  });

  test('init begins there at each start', async () => {
    const since = push('at');
    push('after');
    const got: string[] = [];
    const page = init({
      apiKey: 37282591,
      server: server.url,
      identifiers: ['chat'],
      callback: (data) => got.push(data),
      since,
    });
    stopAfter(page.start());
    await hears(got, 'after');
    stopAfter(page.start());
    await hears(got, 'after', 'after');
  });

  test('the same list and position is one group, another position is another', async () => {
    const connection = open();
    for (const since of [undefined, null, 0, '0', 7, 7]) connection.subscribe('chat', { since });
    await until(() => server.joined.size, 'joined');
    assert.deepEqual(
      lastAsked().map(({ position }) => position),
      [undefined, 0, 7],
    );
  });

  test('to go on where a subscription ended is one frame on the connection', async () => {
    const connection = open();
    const first = connection.subscribe('chat');
    const got = hearing(first);
    await asked(['chat']);
    push('one');
    await hears(got, 'one');
    const before = server.asked.length;
    first.stop();
    const more = hearing(connection.subscribe(['chat', 'news'], { since: first.position }));
    push('on its way');
    await asked(['chat', 'news']);
    push('two');
    await hears(more, 'on its way', 'two');
    assert.deepEqual([got, server.asked.length], [['one'], before]);
  });

  for (const since of ['', 'now', -1, 1.5, 2 ** 53, NaN, true, {}, '01', '1 ']) {
    test(`is a position: ${JSON.stringify(since)}`, () => {
      assert.throws(() => open({ since }), /^TypeError: Cometify needs since: a position/);
      const connection = open();
      assert.throws(() => connection.subscribe('chat', { since: since as never }), /needs since/);
    });
  }
});
