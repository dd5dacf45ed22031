/** Laravel Echo, as npm has it, with our connector against a server and an app. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import Echo from 'laravel-echo';
import { CometifyConnector } from '../src/echo';
import { asked, lastAsked, said, server } from './server-each';
import { pause, until } from './world';

/** The app: its route for authorisation answers by `statuses`, and notes each request. */
let statuses: Record<string, number> = {};
let requests: { headers: IncomingMessage['headers']; channel: string; listener: string }[] = [];
const app = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  const given = new URLSearchParams(body);
  const channel = `${given.get('channel_name')}`;
  requests.push({ headers: request.headers, channel, listener: `${given.get('socket_id')}` });
  response.writeHead(statuses[channel] || 200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ token: `for ${channel}` }));
});

let echo: Echo<'function'>;
let connector: CometifyConnector;

beforeEach(async () => {
  statuses = {};
  requests = [];
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  echo = new Echo<'function'>({
    broadcaster: CometifyConnector,
    key: '37282591',
    server: server.url,
    authEndpoint: `http://127.0.0.1:${(app.address() as AddressInfo).port}/broadcasting/auth`,
    auth: { headers: { 'X-App': 'shop' } },
    csrfToken: 'csrf',
  });
  connector = echo.connector;
});

afterEach(async () => {
  echo.disconnect();
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
});

function collect(): [got: unknown[], hear: (data: unknown) => void] {
  const got: unknown[] = [];
  return [got, (data) => got.push(data)];
}

async function gets(got: unknown[], ...expected: unknown[]): Promise<void> {
  await until(() => got.length >= expected.length, JSON.stringify(expected));
  assert.deepEqual(got, expected);
}

describe('a public channel', () => {
  test('hears its events, by class and by name', async () => {
    const [got, hear] = collect();
    echo.channel('orders.5').listen('OrderShipped', hear).listen('.order.paid', hear);
    await asked(['orders.5']);
    server.pushData('orders.5', 1, 'App.Events.OrderShipped');
    server.pushData('orders.5', 2, 'order.paid');
    server.pushData('orders.5', 3, 'App.Events.Other');
    server.pushData('orders.5', 4, 'app.events.orderShipped');
    server.push('orders.5', 'no event');
    server.pushData('orders.5', { id: 5 }, 'order.paid');
    await gets(got, 1, 2, { id: 5 });
  });

  test('stops listening to one function, or to an event', async () => {
    const [first, hearFirst] = collect();
    const [second, hearSecond] = collect();
    const channel = echo.channel('a').listen('.x', hearFirst).listen('.x', hearSecond);
    channel.listen('.y', hearFirst);
    await asked(['a']);
    channel.stopListening('.x', hearFirst);
    server.pushData('a', 1, 'x');
    await gets(second, 1);
    channel.stopListening('.x');
    server.pushData('a', 2, 'x');
    server.pushData('a', 3, 'y');
    await gets(first, 3);
    assert.deepEqual(second, [1]);
  });

  test('an event may have the name of a notice', async () => {
    const [got, hear] = collect();
    echo.channel('a').listen('.error', hear).listen('.state', hear);
    await asked(['a']);
    server.pushData('a', 1, 'error');
    server.say({ type: 'error', code: 'unavailable', detail: '', retry: 1 });
    server.pushData('a', 2, 'state');
    await gets(got, 1, 2);
  });

  test('a function that throws costs no other its event', async () => {
    const [got, hear] = collect();
    echo
      .channel('a')
      .listen('.x', () => {
        throw new Error('of the page');
      })
      .listen('.x', hear);
    await asked(['a']);
    server.pushData('a', 1, 'x');
    server.pushData('a', 2, 'x');
    await gets(got, 1, 2);
  });

  test('the same name is the same channel, and listen is a short form', async () => {
    const [got, hear] = collect();
    assert.equal(echo.channel('a'), echo.listen('a', '.x', hear));
    await asked(['a']);
    server.pushData('a', 1, 'x');
    await gets(got, 1);
  });

  test('tells that it is subscribed, now and after a lost connection', async () => {
    let count = 0;
    const channel = echo.channel('a').subscribed(() => count++);
    await until(() => count === 1, 'subscribed');
    channel.subscribed(() => {
      count += 10;
    });
    await until(() => count === 11, 'subscribed already');
    server.cut();
    await until(() => count === 22, 'subscribed again');
  });
});

describe('a private channel', () => {
  test('asks the app for a token, with the headers of Echo', async () => {
    const [got, hear] = collect();
    echo.private('orders.5').listen('.paid', hear);
    await asked(['private-orders.5']);
    assert.equal(lastAsked()[0]?.token, 'for private-orders.5');
    const [request] = requests;
    assert.equal(requests.length, 1);
    assert.equal(request?.channel, 'private-orders.5');
    assert.equal(request?.listener, echo.socketId());
    assert.equal(request?.headers['x-app'], 'shop');
    assert.equal(request?.headers['x-csrf-token'], 'csrf');
    server.pushData('private-orders.5', 1, 'paid');
    await gets(got, 1);
  });

  test('hears notifications', async () => {
    const [got, hear] = collect();
    echo.private('App.Models.User.1').notification(hear);
    await asked(['private-App.Models.User.1']);
    const event = 'Illuminate.Notifications.Events.BroadcastNotificationCreated';
    server.pushData('private-app.models.user.1', { type: 'InvoicePaid' }, event);
    await gets(got, { type: 'InvoicePaid' });
  });

  test('a refusal costs that channel alone, and is not asked again', async () => {
    statuses = { 'private-theirs': 403 };
    const [errors, fail] = collect();
    const [got, hear] = collect();
    echo.private('theirs').error(fail);
    for (const channel of [echo.channel('public'), echo.private('mine')])
      channel.listen('.x', hear);
    await until(() => errors.length, 'the error');
    await asked(['public'], ['private-mine']);
    assert.equal(lastAsked()[1]?.token, 'for private-mine');
    const { code, detail, identifiers, fatal } = errors[0] as Record<string, unknown>;
    assert.deepEqual([code, identifiers, fatal], ['token_failed', ['private-theirs'], false]);
    assert.match(`${detail}`, /broadcasting\/auth: 403/);
    server.pushData('public', 1, 'x');
    server.pushData('private-mine', 2, 'x');
    await gets(got, 1, 2);
    // A minute passes.
    await pause(3_000);
    assert.equal(requests.filter(({ channel }) => channel === 'private-theirs').length, 1);
    assert.equal(errors.length, 1);
  });

  test('a page whose only channel is refused connects to nothing', async () => {
    statuses = { 'private-theirs': 403 };
    echo.private('theirs').error(() => {});
    await until(() => requests.length, 'the question');
    await pause(100);
    assert.deepEqual([server.joined.size, echo.connectionStatus()], [0, 'disconnected']);
    const [got, hear] = collect();
    echo.channel('public').listen('.x', hear);
    await asked(['public']);
    server.pushData('public', 1, 'x');
    await gets(got, 1);
  });

  test('a refusal that nobody handles is written to the console', async () => {
    statuses = { 'private-theirs': 401 };
    echo.private('theirs');
    await until(() => said.length, 'the error');
    assert.match(`${said}`, /No token: .*auth: 401/);
    assert.equal(said.length, 1);
  });

  test('an app that is away is asked again', async () => {
    statuses = { 'private-a': 503 };
    echo.private('a').error(() => {
      statuses = {};
    });
    await until(() => lastAsked()[0]?.token === 'for private-a', 'the token');
    assert.equal(requests.length, 2);
  });
});

describe('echo', () => {
  test('leaves a channel with its private variant, or one alone', async () => {
    echo.channel('a');
    echo.private('a');
    echo.channel('b');
    echo.private('b');
    echo.channel('c');
    await asked(['a'], ['private-a'], ['b'], ['private-b'], ['c']);
    echo.leave('a');
    echo.leaveChannel('private-b');
    await asked(['b'], ['c']);
    echo.leaveAllChannels();
    await until(() => !server.joined.size, 'it listens to nothing');
    echo.channel('b');
    await asked(['b']);
  });

  test('has no presence channels, and says so', () => {
    assert.throws(() => echo.join('chat'), /Use private\(\), not join\(\)/);
  });

  test('tells the status of the connection', async () => {
    const told: string[] = [];
    const end = connector.onConnectionChange((status) => told.push(status));
    assert.equal(echo.connectionStatus(), 'disconnected');
    echo.channel('a');
    await until(() => echo.connectionStatus() === 'connected', 'connected');
    server.cut();
    await until(() => told.length === 5, 'connected again');
    end();
    echo.disconnect();
    assert.equal(echo.connectionStatus(), 'disconnected');
    assert.deepEqual(told, ['connecting', 'connected', 'reconnecting', 'connecting', 'connected']);
  });

  test('its socket id is the listener that the server knows', async () => {
    echo.channel('a');
    await asked(['a']);
    assert.equal(echo.socketId(), server.asked[0]?.listen?.listener);
  });
});
