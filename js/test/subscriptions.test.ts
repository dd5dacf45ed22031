/** A connection, and subscriptions that come and go by themselves, against a server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, init } from '../src/index';
import type { ConnectOptions } from '../src/options';
import type { Connection, Subscription } from '../src/subscription';
import type { Transport } from '../src/transport';
import { asked, lastAsked, listens, said, server, stopAfter } from './server-each';
import { pause, until } from './world';

function open(options: Partial<ConnectOptions> = {}): Connection {
  return stopAfter(connect({ apiKey: 37282591, server: server.url, ...options }));
}

/** What this subscription or connection hears of pushes, in order. */
function hearing(listener: Subscription): string[] {
  const got: string[] = [];
  listener.on('push', ({ data }) => got.push(data));
  return got;
}

const ALL: Transport[] = ['websocket', 'stream', 'poll'];

describe('a connection without a subscription', () => {
  for (const identifiers of [undefined, [], {}]) {
    test(`connects to nothing: ${JSON.stringify(identifiers)}`, async () => {
      const connection = open({ identifiers });
      await pause(30);
      assert.deepEqual([connection.state, server.asked.length], ['idle', 0]);
      const got = hearing(connection.subscribe('chat'));
      await asked(['chat']);
      server.push('chat', 'hi');
      await until(() => got.length, 'the push');
      assert.deepEqual(got, ['hi']);
    });
  }

  test('init takes an empty list too, and its callback is the default', async () => {
    const got: unknown[][] = [];
    const connection = init({
      apiKey: 37282591,
      identifiers: [],
      server: server.url,
      callback: (...given) => got.push(given),
    }).start();
    stopAfter(connection);
    await pause(30);
    assert.equal(server.asked.length, 0);
    connection.subscribe('Chat');
    await asked(['Chat']);
    server.push('chat', 'hi', 3);
    await until(() => got.length, 'the push');
    assert.deepEqual(got, [['hi', 3, 'Chat']]);
  });

  test('connect with identifiers listens to them, without a callback', async () => {
    const got = hearing(open({ identifiers: ['a', 'b'] }));
    await asked(['a', 'b']);
    server.push('b', 'hi');
    await until(() => got.length, 'the push');
  });

  test('a wrong option is a TypeError', () => {
    for (const options of [{}, undefined, null] as ConnectOptions[]) {
      assert.throws(() => connect(options), /^TypeError: Cometify needs apiKey/);
    }
    assert.throws(() => open({ callback: '' }), /^TypeError: Cometify needs callback/);
    assert.throws(() => open({ identifiers: 'a b' }), /^TypeError: Cometify needs identifiers/);
  });
});

describe('subscriptions', () => {
  test('take a function instead of options, as their callback', async () => {
    const got: unknown[][] = [];
    open().subscribe('Chat', (...given) => got.push(given));
    await asked(['Chat']);
    server.push('chat', 'hi', 3);
    await until(() => got.length, 'the push');
    assert.deepEqual(got, [['hi', 3, 'Chat']]);
  });

  for (const transport of ALL) {
    test(`go on under a new id when theirs is taken: ${transport}`, async () => {
      const connection = open({ transports: [transport] });
      const got = hearing(connection.subscribe('chat'));
      const states: string[] = [];
      connection.on('state', ({ state }) => states.push(state));
      await asked(['chat']);
      server.push('chat', 'one');
      await until(() => got.length, 'the push');
      const { listener } = connection;
      await until(() => server.joined.size, 'joined');
      const error = { type: 'error', code: 'replaced', detail: 'Take another id.', retry: null };
      for (const one of Array.from(server.joined)) {
        one.send(error);
        one.end();
      }
      const asking = () => server.asked.at(-1)?.listen?.listener;
      await until(() => asking() && asking() !== listener, 'another id');
      assert.equal(connection.listener, asking());
      server.push('chat', 'two');
      await until(() => got.length > 1, 'goes on');
      assert.deepEqual([got, said], [['one', 'two'], []]);
      assert.deepEqual(states, ['connecting', 'connected', 'waiting', 'connecting', 'connected']);
    });
  }

  test('tell the listener that the server knows, and their position', async () => {
    const connection = open();
    const subscription = connection.subscribe('chat');
    assert.equal(subscription.position, undefined);
    const got = hearing(subscription);
    await asked(['chat']);
    server.push('chat', 'hi');
    await until(() => got.length, 'the push');
    const listener = server.asked.at(-1)?.listen?.listener;
    assert.deepEqual([subscription.listener, connection.listener], [listener, listener]);
    assert.deepEqual([subscription.position, connection.position], [server.position, undefined]);
    server.push('other', 'to nobody here');
    server.say({ type: 'heartbeat', position: server.position });
    await until(() => subscription.position === server.position, 'the heartbeat');
    subscription.stop();
    assert.equal(subscription.position, server.position, 'it can go on from there');
  });

  for (const transport of ALL) {
    test(`two to one name are one on the wire, ended one by one: ${transport}`, async () => {
      const connection = open({ transports: [transport] });
      const one = connection.subscribe('chat');
      const other = connection.subscribe('chat');
      const [first, second, all] = [hearing(one), hearing(other), hearing(connection)];
      await asked(['chat']);
      server.push('chat', 'to both');
      await until(() => first.length && second.length, 'both hear it');
      one.stop();
      one.stop();
      assert.equal(one.state, 'stopped');
      assert.notEqual(other.state, 'stopped');
      server.push('chat', 'to one');
      await until(() => second.length === 2, 'the other hears it');
      const third = hearing(connection.subscribe('chat'));
      server.push('chat', 'to the new one');
      await until(() => second.length === 3 && third.length, 'a new one hears what comes now');
      assert.deepEqual(first, ['to both']);
      assert.deepEqual(second, ['to both', 'to one', 'to the new one']);
      assert.deepEqual(third, ['to the new one']);
      assert.deepEqual(all, second, 'the connection hears each once');
      assert.equal(lastAsked().length, 1);
      if (transport === 'websocket') assert.equal(server.asked.at(-1)?.listens, 1);
    });
  }

  test('the name is left with the last subscription', async () => {
    const connection = open();
    const pair = [connection.subscribe('chat'), connection.subscribe('chat')] as const;
    connection.subscribe('news');
    await asked(['chat'], ['news']);
    const before = listens();
    pair[0].stop();
    await pause(20);
    assert.equal(listens(), before);
    pair[1].stop();
    await asked(['news']);
    await until(() => connection.state === 'connected', 'it goes on');
  });

  test('a hundred and one subscriptions to one list are one group', async () => {
    const connection = open();
    const many = Array.from({ length: 101 }, () => connection.subscribe({ a: 5, b: 0 }));
    const counts = many.map(hearing);
    await asked({ a: 5, b: 0 });
    server.push('a', 'hi', 6);
    await until(() => counts.every(({ length }) => length === 1), 'each hears it');
  });

  test('a replay that has begun is not shared', async () => {
    server.push('a', 'kept', 6);
    const connection = open();
    const first = hearing(connection.subscribe({ a: 5 }));
    await until(() => first.length, 'the replay');
    const second = hearing(connection.subscribe({ a: 5 }));
    await until(() => second.length, 'a replay of its own');
    assert.deepEqual([first, second], [['kept'], ['kept']]);
  });

  test('other keys, tokens or lists are other groups', async () => {
    const connection = open();
    const token = async () => 'a.b.c';
    connection.subscribe('a');
    connection.subscribe('a', { secureKey: 'k' });
    connection.subscribe('a', { token });
    connection.subscribe('a', { token });
    connection.subscribe('a', { token: 'a.b.c' });
    connection.subscribe('a', { token: 'a.b.c' });
    connection.subscribe(['a', 'b']);
    connection.subscribe('A');
    await asked(['a'], ['a'], ['a'], ['a'], ['a', 'b'], ['A']);
  });

  test('each hears its own pushes, gaps and errors', async () => {
    const connection = open();
    const heard: string[] = [];
    const name = (listener: Subscription, who: string): void => {
      listener
        .on('push', ({ identifier }) => heard.push(`${who} push ${identifier}`))
        .on('gap', ({ identifiers }) => heard.push(`${who} gap ${identifiers}`))
        .on('error', ({ code }) => heard.push(`${who} error ${code}`));
    };
    name(connection, 'all');
    name(connection.subscribe('A'), 'a');
    name(connection.subscribe('b', { callback: 'nowhere' }), 'b');
    await asked(['A'], ['b']);
    server.say({ type: 'gap', identifiers: ['b'] });
    server.push('a', '');
    server.push('b', '');
    await until(() => heard.length === 8, 'all of it');
    server.say({ type: 'error', code: 'x', detail: '', retry: 60 });
    await until(() => heard.length === 11, 'an error of the connection');
    assert.deepEqual(heard.sort(), [
      'a error x',
      'a push A',
      'all error no_callback',
      'all error x',
      'all gap b',
      'all push A',
      'all push b',
      'b error no_callback',
      'b error x',
      'b gap b',
      'b push b',
    ]);
    assert.deepEqual(said, []);
  });

  test('each hears the states of the connection, until it is stopped', async () => {
    const connection = open();
    const subscription = connection.subscribe('a');
    const states: string[] = [];
    subscription.on('state', ({ state }) => states.push(state));
    await asked(['a']);
    assert.equal(subscription.transport, 'websocket');
    await until(() => subscription.state === 'connected', 'connected');
    subscription.stop();
    await until(() => connection.state === 'idle', 'nothing is left');
    assert.deepEqual([states, subscription.state], [['connecting', 'connected'], 'stopped']);
    const other = connection.subscribe('b');
    other.on('state', ({ state }) => states.push(state));
    await until(() => other.state === 'connected', 'connected');
    connection.stop();
    assert.deepEqual(states.slice(2), ['connecting', 'connected', 'stopped']);
    assert.equal(other.state, 'stopped');
  });

  test('stopped by one handler, it hears no more, and others do', async () => {
    const connection = open();
    const [one, other] = [connection.subscribe('a'), connection.subscribe('a')];
    one.on('push', () => one.stop());
    const [first, second] = [hearing(one), hearing(other)];
    await asked(['a']);
    server.push('a', 'one');
    server.push('a', 'two');
    await until(() => second.length === 2, 'both');
    assert.deepEqual([first, second], [[], ['one', 'two']]);
  });

  test('off removes a handler of this subscription only', async () => {
    const connection = open();
    const got: string[] = [];
    const hear = ({ data }: { data: string }): number => got.push(data);
    const [one, other] = [connection.subscribe('a'), connection.subscribe('a')];
    one.on('push', hear);
    other.on('push', hear);
    assert.equal(one.off('push', hear), one);
    await asked(['a']);
    server.push('a', 'once');
    await until(() => got.length, 'the push');
    await pause(20);
    assert.deepEqual(got, ['once']);
  });

  test('unsubscribe ends every subscription to the name', async () => {
    const connection = open();
    const [one, both] = [connection.subscribe('a'), connection.subscribe(['a', 'b'])];
    const got = hearing(both);
    await asked(['a'], ['a', 'b']);
    one.unsubscribe('A');
    await asked(['b']);
    assert.equal(one.state, 'stopped');
    await until(() => both.state === 'connected', 'the other goes on');
    server.push('b', 'hi');
    await until(() => got.length, 'what is left');
  });

  test('a signed list that lost a name is not shared', async () => {
    const connection = open();
    connection.subscribe(['a', 'b'], { secureKey: 'k' });
    connection.unsubscribe('b');
    const got = hearing(connection.subscribe(['a', 'b'], { secureKey: 'k' }));
    await asked(['a', 'b'], ['a', 'b']);
    server.push('b', 'hi');
    await until(() => got.length, 'the push');
  });
});

describe('changes are paced', () => {
  test('twenty are told at once, and then one a second', async () => {
    const connection = open({ identifiers: 'chat' });
    await asked(['chat']);
    const began = Date.now();
    for (let i = 0; i < 20; i++) {
      connection.subscribe(`a${i}`);
      await 0;
      await until(() => listens() === i + 2, `change ${i}`);
    }
    const many = listens();
    for (let i = 20; i < 60; i++) {
      connection.subscribe(`a${i}`);
      await pause(1);
    }
    await until(() => lastAsked().length === 61, 'all of them');
    const seconds = (Date.now() - began) / 1_000;
    assert.equal(many, 21);
    assert.ok(listens() - many <= seconds + 1, `${listens() - many} in ${seconds} s`);
    assert.deepEqual(said, []);
  });

  test('a thousand mounts and unmounts in a minute cost no push', async () => {
    server.heartbeat = 120;
    const connection = open({ identifiers: 'chat' });
    // The server has joined it before. Until the page knows, a change is asked for on another connection.
    await until(() => connection.state === 'connected', 'connected');
    const got = hearing(connection);
    const began = Date.now();
    const states: string[] = [];
    connection.on('state', ({ state }) => states.push(state));
    for (let i = 0; i < 1_000; i++) {
      const mounted = connection.subscribe(`row_${i % 50}`);
      server.push('chat', `${i}`);
      await pause(1);
      mounted.stop();
      await pause(1);
    }
    const last = hearing(connection.subscribe('last'));
    await asked(['chat'], ['last']);
    server.push('last', 'hi');
    await until(() => last.length, 'the last one hears');
    const seconds = (Date.now() - began) / 1_000;
    assert.ok(listens() <= 21 + seconds + 1, `${listens()} in ${seconds} s`);
    assert.equal(got.length, 1_001);
    assert.deepEqual([states, said, server.asked.length], [[], [], 1]);
  });
});
