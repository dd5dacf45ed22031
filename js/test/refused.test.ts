/** Groups that the server refuses alone, because a page asks for too many identifiers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../src/index';
import type { NoticeOf } from '../src/notices';
import type { Connection, Subscription } from '../src/subscription';
import type { Transport } from '../src/transport';
import { lastAsked, said, server, stopAfter } from './server-each';
import { pause, until } from './world';

function hearing(listener: Subscription): string[] {
  const got: string[] = [];
  listener.on('push', ({ data }) => got.push(data));
  return got;
}

function errorsOf(listener: Subscription): NoticeOf<'error'>[] {
  const errors: NoticeOf<'error'>[] = [];
  listener.on('error', (error) => errors.push(error));
  return errors;
}

async function joined(connection: Connection, groups: number): Promise<void> {
  await until(
    () => connection.state === 'connected' && lastAsked().length === groups && server.joined.size,
    'joined',
  );
  await pause(50);
}

for (const transport of ['websocket', 'stream', 'poll'] as Transport[]) {
  describe(`a group too many: ${transport}`, () => {
    function open(): Connection {
      server.most = 3;
      server.heartbeat = 10;
      const options = { apiKey: 1, server: server.url, transports: [transport] };
      return stopAfter(connect(options));
    }

    test('it has its own error, once, and all others go on', async () => {
      const connection = open();
      const first = hearing(connection.subscribe(['a', 'b']));
      const refused = connection.subscribe(['C', 'd']);
      const last = hearing(connection.subscribe('e'));
      const [errors, lastErrors] = [errorsOf(refused), errorsOf(connection.subscribe('a'))];
      const nothing = hearing(refused);
      await joined(connection, 4);
      for (const name of ['a', 'd', 'e']) {
        server.push(name, name);
        await pause(20);
      }
      await until(() => first.length && last.length, 'the pushes of the others');
      // Beyond a heartbeat, so that polls follow one another.
      await pause(700);
      const told = {
        type: 'error',
        code: 'refused',
        detail: 'Not joined.',
        fatal: false,
        identifiers: ['C', 'd'],
      };
      assert.deepEqual(errors, [told]);
      assert.deepEqual([first, nothing, last, lastErrors], [['a'], [], ['e'], []]);
      assert.deepEqual([connection.state, said], ['connected', []]);
      assert.ok(server.asked.length < 10, `${server.asked.length} requests`);
    });

    test('it joins when another ends, and has missed nothing', async () => {
      const connection = open();
      const first = connection.subscribe(['a', 'b']);
      const refused = connection.subscribe(['c', 'd']);
      const errors = errorsOf(refused);
      const got = hearing(refused);
      await joined(connection, 2);
      server.push('c', 'early');
      server.push('a', 'moves the first');
      await pause(50);
      first.stop();
      await joined(connection, 1);
      server.push('d', 'late');
      await until(() => got.length > 1, 'both pushes');
      assert.deepEqual([got, errors.length, said], [['early', 'late'], 1, []]);
    });

    test('a later subscription to the same is told as well', async () => {
      const connection = open();
      connection.subscribe(['a', 'b']);
      errorsOf(connection.subscribe(['c', 'd']));
      await joined(connection, 2);
      const errors = errorsOf(connection.subscribe(['c', 'd']));
      await until(() => errors.length, 'told');
      assert.equal(errors[0]?.code, 'refused');
    });

    test('pushes of a shared name come when it joins', async () => {
      const connection = open();
      const first = connection.subscribe(['a', 'b']);
      const firstGot = hearing(first);
      const refused = connection.subscribe(['a', 'c', 'd']);
      errorsOf(refused);
      const got = hearing(refused);
      await joined(connection, 2);
      server.push('a', 'shared');
      await until(() => firstGot.length, 'the push');
      await pause(20);
      assert.deepEqual(got, []);
      first.stop();
      await until(() => got.length, 'the push again');
      assert.deepEqual([firstGot, got], [['shared'], ['shared']]);
    });
  });
}
