/** Handlers: of the pushes of an event, and for as long as a signal allows. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from '../src/index';
import type { Connection } from '../src/subscription';
import { asked, said, server, stopAfter } from './server-each';
import { thrown, until } from './world';

async function open(): Promise<Connection> {
  const connection = stopAfter(connect({ apiKey: 1, server: server.url, identifiers: 'chat' }));
  // The server has joined it a moment before the client knows.
  await until(() => connection.state === 'connected', 'connected');
  return connection;
}

describe('an event', () => {
  test('is heard by its name, and by push', async () => {
    const heard: unknown[] = [];
    const connection = await open();
    const other = connection.subscribe('news');
    connection
      .on('created', ({ data, event }) => heard.push(['created', data.id, event]))
      .on('push', ({ data, event }) => heard.push(['push', data, event]));
    other.on('created', () => heard.push('another subscription'));
    await asked(['chat'], ['news']);
    server.pushData('chat', { id: 7 }, 'created');
    server.pushData('chat', 'x', 'Created');
    server.push('chat', 'no event');
    await until(() => heard.length === 4, 'all of them');
    assert.deepEqual(heard, [
      ['created', 7, 'created'],
      ['push', { id: 7 }, 'created'],
      ['push', 'x', 'Created'],
      ['push', 'no event', null],
    ]);
  });

  test('a name of a notice hears the notices alone', async () => {
    const heard: string[] = [];
    const connection = await open();
    for (const type of ['push', 'state', 'gap', 'error'] as const) {
      connection.on(type, (notice) => heard.push(`${type}: ${notice.type}`));
    }
    for (const event of ['state', 'gap', 'error', 'push']) server.pushData('chat', 1, event);
    server.say({ type: 'gap', identifiers: ['chat'] });
    await until(() => heard.includes('gap: gap'), 'the gap');
    assert.deepEqual(heard, ['push: push', 'push: push', 'push: push', 'push: push', 'gap: gap']);
  });

  test('a name that every object has is an event too', async () => {
    const heard: string[] = [];
    const connection = await open();
    connection.on('constructor', ({ data }) => heard.push(data));
    server.pushData('chat', 'hi', 'constructor');
    await until(() => heard.length, 'the push');
    assert.deepEqual(heard, ['hi']);
  });

  test('off takes its handler away', async () => {
    const heard: string[] = [];
    const connection = await open();
    const hear = ({ data }: { data: string }): unknown => heard.push(data);
    connection.on('created', hear).on('push', hear).off('created', hear);
    server.pushData('chat', 'once', 'created');
    await until(() => heard.length, 'the push');
    assert.deepEqual(heard, ['once']);
  });
});

describe('a signal', () => {
  test('takes its handler away, and no other', async () => {
    const heard: string[] = [];
    const connection = await open();
    const { signal, abort } = ending();
    const hear = (): unknown => heard.push('again');
    connection
      .on('push', hear, { signal })
      .on('push', hear, {})
      .on('push', hear, { signal: undefined });
    server.push('chat', '1');
    await until(() => heard.length === 3, 'three handlers');
    abort();
    server.push('chat', '2');
    await until(() => heard.length === 5, 'two of them');
    connection.on('push', () => heard.push('never'), { signal });
    server.push('chat', '3');
    await until(() => heard.length === 7, 'the same two');
    assert.ok(!heard.includes('never'));
  });

  test('a handler that is taken away by another one is not called', async () => {
    const heard: string[] = [];
    const connection = await open();
    const { signal, abort } = ending();
    const late = (): unknown => heard.push('off');
    connection
      .on('push', () => {
        abort();
        connection.off('push', late);
      })
      .on('push', () => heard.push('aborted'), { signal })
      .on('push', late)
      .on('push', () => heard.push('stays'));
    server.push('chat', '1');
    await until(() => heard.length, 'the last handler');
    assert.deepEqual([heard, thrown], [['stays'], []]);
  });

  test('an error that only an aborted handler would hear goes to the console', async () => {
    const connection = await open();
    const { signal, abort } = ending();
    connection.on('error', () => {}, { signal });
    abort();
    server.warnings = ['Look here.'];
    connection.subscribe('news');
    await until(() => said.length, 'the warning');
    assert.deepEqual(said, ['Cometify: warning: Look here.']);
  });

  test('a subscription that has ended takes no handler', async () => {
    const heard: string[] = [];
    const connection = await open();
    const subscription = connection.subscribe('news');
    subscription.stop();
    subscription.on('error', ({ detail }) => heard.push(detail));
    server.warnings = ['Look here.'];
    connection.subscribe('sport');
    await until(() => said.length, 'the warning');
    assert.deepEqual(heard, []);
  });
});

/** A signal, and the function that aborts it. */
function ending(): { signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
