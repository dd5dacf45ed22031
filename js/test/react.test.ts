/** The entry for React, in React DOM against a server. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  Activity,
  act,
  Component,
  createElement,
  Fragment,
  type ReactElement,
  type ReactNode,
  StrictMode,
  Suspense,
  use,
} from 'react';
import { connect } from '../src/index';
import { CometifyProvider, type PushesOptions, useConnectionState, usePushes } from '../src/react';
import { makeDocument } from './dom';
import { FakeServer } from './fake-server';
import { asked, lastAsked, lastListens, listens, said, server } from './server-each';
import { pause, until, watching } from './world';

const document = makeDocument();
const element = () => document.createElement('div');
const { createRoot, hydrateRoot } = await import('react-dom/client');
const { renderToString } = await import('react-dom/server');

let root: ReturnType<typeof createRoot>;
let got: string[] = [];

beforeEach(() => {
  root = createRoot(element());
  got = [];
});

afterEach(async () => {
  await act(() => root.unmount());
  await pause(5);
  assert.deepEqual([...watching], [], 'no connection outlives its components');
});

interface ListProps extends PushesOptions {
  of: Parameters<typeof usePushes>[0];
  mark?: string;
}

/** Listens, and notes each push as '{mark}{text}'. */
function List({ of, mark = '', ...options }: ListProps): null {
  usePushes<string>(of, ({ data }) => got.push(mark + data), options);
  return null;
}

function Slow({ data }: { data: Promise<string> }): ReactNode {
  return list(use(data));
}

function Wait({ on }: { on: Promise<unknown> | undefined }): null {
  if (on) use(on);
  return null;
}

function Throws({ count }: { count(): void }): null {
  usePushes('chat', () => {
    count();
    throw new Error('of the page');
  });
  return null;
}

class Boundary extends Component<{ caught: unknown[]; children?: ReactNode }> {
  override state = { isBroken: false };
  static getDerivedStateFromError = () => ({ isBroken: true });
  override componentDidCatch(thrown: unknown): void {
    this.props.caught.push(thrown);
  }
  override render(): ReactNode {
    return this.state.isBroken ? null : this.props.children;
  }
}

function State(): string {
  return useConnectionState();
}

type Source = { transports?: ['poll'] };

function page(children: ReactNode, more: Source = {}): ReactElement {
  return createElement(
    CometifyProvider,
    { apiKey: 37282591, server: server.url, ...more },
    children,
  );
}

const list = (of: ListProps['of'], more: Partial<ListProps> & { key?: string } = {}) =>
  createElement(List, { of, ...more });

async function render(element: ReactNode): Promise<void> {
  await act(() => root.render(element));
}

async function hears(...texts: string[]): Promise<void> {
  await until(() => got.length >= texts.length, `${texts}`);
  assert.deepEqual(got, texts);
}

describe('the provider', () => {
  test('connects only when a component listens, and ends after the last', async () => {
    await render(page(createElement(State)));
    await pause(20);
    assert.deepEqual([server.asked.length, watching.size], [0, 0]);
    await render(page(list('chat')));
    await asked(['chat']);
    server.push('chat', 'hi');
    await hears('hi');
    await render(page(null));
    await until(() => server.joined.size === 0, 'the connection ends');
    assert.equal(watching.size, 0);
  });

  test('rendering on a server connects to nothing', async () => {
    const html = renderToString(
      page([list('chat', { key: 'a' }), createElement(State, { key: 'b' })]),
    );
    await pause(20);
    assert.deepEqual([html, server.asked.length, watching.size], ['idle', 0, 0]);
  });

  test('a page of a server is taken over without a mismatch', async () => {
    const div = element();
    const tree = page([list('chat', { key: 'a' }), createElement(State, { key: 'b' })]);
    div.innerHTML = renderToString(tree);
    root = await act(() => hydrateRoot(div, tree));
    await act(() => until(() => div.textContent === 'connected', 'the state'));
    assert.doesNotMatch(`${said}`, /ydrat/);
  });

  test('a given connection is used, and not stopped', async () => {
    const connection = connect({ apiKey: 37282591, server: server.url });
    await render(createElement(CometifyProvider, { connection }, list('chat')));
    await asked(['chat']);
    await render(null);
    await pause(20);
    assert.notEqual(connection.state, 'stopped');
    connection.stop();
  });

  test('options are compared by value, and a new server is connected to', async () => {
    await render(page(list('chat'), { transports: ['poll'] }));
    await asked(['chat']);
    const before = server.asked.length;
    await render(page(list('chat'), { transports: ['poll'] }));
    await pause(20);
    assert.equal(server.asked.length, before);
    const other = await new FakeServer().start();
    const props = { apiKey: 37282591, server: other.url };
    await render(createElement(CometifyProvider, props, list('chat')));
    await until(() => other.joined.size === 1 && server.joined.size === 0, 'the other server');
    assert.deepEqual(other.asked[0]?.listen?.groups, [{ identifiers: ['chat'] }]);
    await render(null);
    await other.stop();
  });

  test('without one, a component is told', async () => {
    await assert.rejects(render(list('chat')), /Cometify needs a <CometifyProvider>/);
  });
});

describe('usePushes', () => {
  test('strict mode listens once', async () => {
    await render(createElement(StrictMode, null, page(list('chat'))));
    await asked(['chat']);
    await pause(20);
    assert.equal(lastListens(), 1);
    server.push('chat', 'once');
    await hears('once');
  });

  test('a new handler or token function is no new subscription', async () => {
    const tokens: string[] = [];
    const token = (name: string) => () => {
      tokens.push(name);
      return 'x.y.z';
    };
    await render(page(list('chat', { mark: '1 ', token: token('first') })));
    await asked(['chat']);
    await render(page(list('chat', { mark: '2 ', token: token('second') })));
    server.push('chat', 'hi');
    await hears('2 hi');
    assert.deepEqual([lastListens(), tokens], [1, ['first']]);
    server.say({ type: 'error', code: 'invalid_token', detail: '', retry: 0 });
    await until(() => tokens.length > 1, 'another token');
    assert.deepEqual(tokens, ['first', 'second']);
  });

  test('components that listen to the same share one token', async () => {
    let count = 0;
    const token = () => `token ${++count}`;
    const keys = ['a', 'b', 'c'];
    await render(
      page(keys.map((key) => list(['x', 'y'], { key, mark: key, token: () => token() }))),
    );
    await asked(['x', 'y']);
    assert.deepEqual([lastAsked(), count], [[{ identifiers: ['x', 'y'], token: 'token 1' }], 1]);
    await render(page(list(['x', 'y'], { key: 'b', mark: 'b', token: () => token() })));
    server.push('x', '!');
    await hears('b!');
  });

  test('identifiers are compared by value, and may be missing', async () => {
    for (const none of [null, undefined, false, '', [], {}] as const) {
      await render(page(list(none)));
    }
    await pause(20);
    assert.equal(server.asked.length, 0);
    await render(page(list(['a', 'b'])));
    await asked(['a', 'b']);
    await render(page(list(['a', 'b'])));
    await render(page(list({ a: 1 })));
    await asked({ a: 1 });
    assert.equal(listens(), 2);
    await render(page(list(null)));
    await until(() => server.joined.size === 0, 'it listens to nothing');
  });

  test('a change of the list is one frame on the connection', async () => {
    await render(page(list(['a'])));
    await asked(['a']);
    server.push('a', '1');
    await hears('1');
    const before = server.asked.length;
    await render(page(list(['a', 'b'])));
    server.push('a', '2');
    await asked(['a', 'b']);
    server.push('b', '3');
    await hears('1', '2', '3');
    await render(page(list(['b'])));
    await asked(['b']);
    server.push('b', '4');
    await hears('1', '2', '3', '4');
    assert.equal(server.asked.length, before);
  });

  for (const transports of [undefined, ['poll']] as [undefined, ['poll']]) {
    test(`identifiers that stay lose nothing: ${transports || 'websocket'}`, async () => {
      await render(page(list(['a']), { transports }));
      await asked(['a']);
      server.push('a', '1');
      await hears('1');
      await until(() => server.joined.size, 'the next poll');
      await act(() => {
        // The server has sent this, but the page stops listening before it is heard.
        root.render(page(list(['a', 'b']), { transports }));
        server.cut();
        server.push('a', '2');
      });
      await asked(['a', 'b']);
      server.push('b', '3');
      await hears('1', '2', '3');
    });
  }

  test('a hidden Activity goes on where it was', async () => {
    const tree = (mode: 'visible' | 'hidden') =>
      // biome-ignore lint/correctness/noChildrenProp: its types require it
      page(createElement(Activity, { mode, children: list('chat') }));
    await render(tree('visible'));
    await asked(['chat']);
    server.push('chat', '1');
    await hears('1');
    await render(tree('hidden'));
    await until(() => server.joined.size === 0, 'it stops listening');
    server.push('chat', '2');
    await render(tree('visible'));
    await hears('1', '2');
  });

  test('since is where it begins, and not where it begins again', async () => {
    const since = server.position;
    server.push('a', '1');
    await render(page(list(['a'], { since })));
    await hears('1');
    await render(page(list(['a', 'b'], { since })));
    await asked(['a', 'b']);
    server.push('b', '2');
    await hears('1', '2');
    server.push('c', '3');
    server.push('c', '4');
    await render(page(list(['c'], { since: server.position - 1 })));
    await hears('1', '2', '4');
  });

  test('another since counts only with other identifiers', async () => {
    await render(page(list(['a'], { since: server.position })));
    await asked(['a']);
    server.push('a', '1');
    await hears('1');
    server.push('b', '2');
    const since = server.position;
    server.push('b', '3');
    await render(page(list(['a'], { since })));
    await pause(20);
    assert.equal(lastListens(), 1);
    await render(page(list(['a', 'b'], { since })));
    await hears('1', '3');
    assert.equal(listens(), 2);
  });

  test('components unmount in any order', async () => {
    const keys = ['a', 'b', 'c'];
    const some = (...left: string[]) => page(left.map((key) => list('chat', { key, mark: key })));
    for (const order of [
      ['a', 'b', 'c'],
      ['b', 'c', 'a'],
      ['c', 'a', 'b'],
    ]) {
      got = [];
      await render(some(...keys));
      await asked(['chat']);
      const left = [...keys];
      for (const key of order) {
        server.push('chat', '');
        const before = got.length;
        await until(() => got.length === before + left.length, `${left}`);
        assert.deepEqual(got.slice(before), left);
        left.splice(left.indexOf(key), 1);
        await render(some(...left));
      }
      await until(() => server.joined.size === 0, 'the connection ends');
    }
  });

  test('a suspended component does not listen before it is shown', async () => {
    let show = (_: string) => {};
    const data = new Promise<string>((resolve) => {
      show = resolve;
    });
    await render(page(createElement(Suspense, { fallback: null }, createElement(Slow, { data }))));
    await pause(20);
    assert.deepEqual([server.asked.length, watching.size], [0, 0]);
    await act(() => show('chat'));
    await asked(['chat']);
  });

  test('a component that is suspended again listens on', async () => {
    let on: Promise<unknown> | undefined;
    const tree = () =>
      page(createElement(Suspense, { fallback: null }, list('chat'), createElement(Wait, { on })));
    await render(tree());
    await asked(['chat']);
    on = new Promise(() => {});
    await render(tree());
    server.push('chat', 'hi');
    await hears('hi');
    assert.equal(lastListens(), 1);
  });

  test('a component that replaces another keeps the connection', async () => {
    const div = element();
    root = createRoot(div);
    const tree = (name: string) =>
      page([list(name, { key: name }), createElement(State, { key: 'state' })]);
    await render(tree('a'));
    // A change before the answer to the first request would begin another attempt.
    await act(() => until(() => div.textContent === 'connected', 'the state'));
    await render(tree('b'));
    await asked(['b']);
    assert.equal(lastListens(), 2);
  });

  test('a gap and an error reach the newest handlers', async () => {
    const told: unknown[] = [];
    const handlers = (mark: number): PushesOptions => ({
      onGap: ({ identifiers }) => told.push([mark, ...identifiers]),
      onError: ({ code }) => told.push([mark, code]),
    });
    await render(page(list('Chat', handlers(1))));
    await asked(['Chat']);
    await render(page(list('Chat', handlers(2))));
    server.say({ type: 'gap', identifiers: ['chat'] });
    server.say({ type: 'error', code: 'unavailable', detail: 'Later.', retry: 1 });
    await until(() => told.length === 2, 'both');
    assert.deepEqual(
      [told, lastListens()],
      [
        [
          [2, 'Chat'],
          [2, 'unavailable'],
        ],
        1,
      ],
    );
  });

  test('without onError the console tells', async () => {
    await render(page(list('chat')));
    await asked(['chat']);
    server.say({ type: 'error', code: 'unavailable', detail: 'Later.', retry: 1 });
    await until(() => said.length, 'the error');
    assert.match(`${said}`, /unavailable: Later/);
  });

  test('a wrong identifier reaches the error boundary, and leaves nothing', async () => {
    const caught: unknown[] = [];
    await render(page(createElement(Boundary, { caught }, list('not one'))));
    assert.match(`${caught}`, /^TypeError: Cometify needs identifiers/);
    await pause(5);
    assert.equal(watching.size, 0);
  });

  test('a handler that throws costs no later push', async () => {
    let count = 0;
    await render(
      page(
        createElement(
          Fragment,
          null,
          createElement(Throws, { count: () => count++ }),
          list('chat'),
        ),
      ),
    );
    await asked(['chat']);
    server.push('chat', '1');
    server.push('chat', '2');
    await hears('1', '2');
    assert.equal(count, 2);
  });
});

describe('useConnectionState', () => {
  test('follows the connection', async () => {
    const div = element();
    root = createRoot(div);
    const state = createElement(State, { key: 'state' });
    await render(page([state]));
    assert.equal(div.textContent, 'idle');
    await render(page([state, list('chat', { key: 'list' })]));
    await act(() => until(() => div.textContent === 'connected', 'connected'));
    await act(async () => server.cut());
    await act(() => until(() => div.textContent === 'waiting', 'waiting'));
    await act(() => until(() => div.textContent === 'connected', 'connected again'));
    await render(page([state]));
    await act(() => until(() => div.textContent === 'idle', 'idle'));
  });
});
