/** The entry for Vue, in components without a document, against a server. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  type App,
  type Component,
  createRenderer,
  createSSRApp,
  effectScope,
  h,
  KeepAlive,
  nextTick,
  reactive,
  ref,
  shallowRef,
} from 'vue';
import { renderToString } from 'vue/server-renderer';
import { connect } from '../src/index';
import { provideCometify, type SourceOptions, useConnectionState, usePushes } from '../src/vue';
import { asked, lastListens, said, server } from './server-each';
import { pause, until, watching } from './world';

/** An element or a text of a renderer that shows nothing. */
interface Shown {
  text: string;
  parent?: Shown | null;
  children: Shown[];
}

function shown(text = ''): Shown {
  return { text, children: [] };
}

function take(node: Shown): void {
  node.parent?.children.splice(node.parent.children.indexOf(node), 1);
}

function textOf({ text, children }: Shown): string {
  return text + children.map(textOf).join('');
}

const { createApp } = createRenderer<Shown, Shown>({
  patchProp() {},
  insert(node, parent, before) {
    take(node);
    const { children } = parent;
    children.splice(before ? children.indexOf(before) : children.length, 0, node);
    node.parent = parent;
  },
  remove: take,
  createElement: () => shown(),
  createText: shown,
  createComment: () => shown(),
  setText: (node, text) => {
    node.text = text;
  },
  setElementText: (node, text) => {
    node.text = text;
    node.children = [];
  },
  parentNode: ({ parent }) => parent || null,
  nextSibling: (node) => node.parent?.children[node.parent.children.indexOf(node) + 1] || null,
});

let apps: App<Shown>[] = [];
let got: string[] = [];

beforeEach(() => {
  got = [];
});

afterEach(async () => {
  for (const app of apps) app.unmount();
  apps = [];
  await pause(5);
  assert.deepEqual([...watching], [], 'no connection outlives its components');
});

function source(): SourceOptions {
  return { apiKey: 37282591, server: server.url };
}

/** Mounts a component that provides, and in it what `setup` returns. */
function mount(
  inner: object | (() => unknown),
  given: Parameters<typeof provideCometify>[0] = source(),
): Shown {
  const place = shown();
  const app = createApp({
    setup() {
      provideCometify(given);
      return () =>
        (typeof inner === 'function' ? inner() : h(inner as Component)) as ReturnType<typeof h>;
    },
  });
  apps.push(app);
  app.mount(place);
  return place;
}

/** A component that listens, and notes each push. */
function listing(
  ...given: Parameters<typeof usePushes<string>> | [Parameters<typeof usePushes>[0]]
): Component {
  const [wanted, hear = ({ data }) => got.push(data), options] = given;
  return {
    setup() {
      usePushes<string>(wanted, hear, options);
      return () => null;
    },
  };
}

const state: Component = {
  setup() {
    const current = useConnectionState();
    return () => current.value;
  },
};

async function hears(...texts: string[]): Promise<void> {
  await until(() => got.length >= texts.length, `${texts}`);
  assert.deepEqual(got, texts);
}

describe('provideCometify', () => {
  test('connects only while a component listens', async () => {
    const isShown = ref(false);
    const list = listing('chat');
    const place = mount(() => h('div', [h(state), isShown.value ? h(list) : '']));
    await pause(20);
    assert.deepEqual([server.asked.length, watching.size, textOf(place)], [0, 0, 'idle']);
    isShown.value = true;
    await asked(['chat']);
    await until(() => textOf(place) === 'connected', 'the state');
    server.push('chat', 'hi');
    await hears('hi');
    server.cut();
    await until(() => textOf(place) === 'waiting', 'waiting');
    await until(() => textOf(place) === 'connected', 'connected again');
    isShown.value = false;
    await until(() => server.joined.size === 0, 'the connection ends');
    await until(() => textOf(place) === 'idle', 'idle');
    assert.equal(watching.size, 0);
  });

  test('rendering on a server connects to nothing', async () => {
    const app = createSSRApp(() => h('p', [h(listing('chat')), h(state)]));
    provideCometify(source(), app);
    const html = await renderToString(app);
    await pause(20);
    assert.match(html, /idle/);
    assert.deepEqual([server.asked.length, watching.size], [0, 0]);
  });

  test('a given connection is used, and not stopped', async () => {
    const connection = connect(source());
    mount(listing('chat'), connection);
    await asked(['chat']);
    apps.pop()?.unmount();
    await pause(20);
    assert.notEqual(connection.state, 'stopped');
    connection.stop();
  });

  test('without it, a component is told', () => {
    const app = createApp(listing('chat'));
    const thrown: unknown[] = [];
    app.config.errorHandler = (failure) => thrown.push(failure);
    app.config.warnHandler = () => {};
    app.mount(shown());
    assert.match(`${thrown}`, /Call provideCometify\(\) above/);
  });

  test('a store listens in a scope of its own', async () => {
    const app = createApp({ render: () => null });
    provideCometify(source(), app);
    const scope = effectScope(true);
    app.runWithContext(() => scope.run(() => usePushes('chat', ({ data }) => got.push(data))));
    await asked(['chat']);
    server.push('chat', 'hi');
    await hears('hi');
    scope.stop();
    await until(() => server.joined.size === 0, 'the connection ends');
  });
});

describe('usePushes', () => {
  test('follows a ref, a getter and a reactive list', async () => {
    const name = ref<string | null>(null);
    const names = reactive<string[]>([]);
    const id = shallowRef(0);
    const lists = [
      listing(name),
      listing(names),
      listing(() => (id.value ? `order_${id.value}` : null)),
    ];
    mount(() => lists.map((list) => h(list)));
    await pause(20);
    assert.equal(server.asked.length, 0);
    name.value = 'chat';
    await asked(['chat']);
    names.push('a');
    names.push('b');
    await asked(['chat'], ['a', 'b']);
    id.value = 7;
    await asked(['chat'], ['a', 'b'], ['order_7']);
    name.value = null;
    names.length = 0;
    await asked(['order_7']);
    server.push('order_7', 'paid');
    await hears('paid');
  });

  test('the same identifiers are no new subscription', async () => {
    const names = ref(['a', 'b']);
    mount(listing(names));
    await asked(['a', 'b']);
    names.value = ['a', 'b'];
    await nextTick();
    await pause(20);
    assert.equal(lastListens(), 1);
  });

  for (const transports of [undefined, ['poll']] as [undefined, ['poll']]) {
    test(`identifiers that stay lose nothing: ${transports || 'websocket'}`, async () => {
      const names = ref(['a']);
      mount(listing(names), { ...source(), transports });
      await asked(['a']);
      server.push('a', '1');
      await hears('1');
      await until(() => server.joined.size, 'the next poll');
      names.value = ['a', 'b'];
      server.cut();
      server.push('a', '2');
      await asked(['a', 'b']);
      server.push('b', '3');
      await hears('1', '2', '3');
    });
  }

  test('options may change: the newest functions are called', async () => {
    const told: unknown[] = [];
    const tokens: string[] = [];
    const mark = ref('first');
    const options = () => ({
      token() {
        tokens.push(mark.value);
        return 'x.y.z';
      },
      onGap: () => told.push(['gap', mark.value]),
      onError: ({ code }: { code: string }) => told.push([code, mark.value]),
    });
    mount(listing('chat', ({ data }) => got.push(data), options));
    await asked(['chat']);
    mark.value = 'second';
    server.say({ type: 'gap', identifiers: ['chat'] });
    server.say({ type: 'error', code: 'invalid_token', detail: '', retry: 0 });
    await until(() => tokens.length === 2, 'another token');
    assert.deepEqual(tokens, ['first', 'second']);
    assert.deepEqual(told[0], ['gap', 'second']);
  });

  test('without onError the console tells', async () => {
    mount(listing('chat'));
    await asked(['chat']);
    server.say({ type: 'error', code: 'unavailable', detail: 'Later.', retry: 1 });
    await until(() => said.length, 'the error');
    assert.match(`${said}`, /unavailable: Later/);
  });

  test('a kept-alive component listens while it is not shown', async () => {
    const isShown = ref(true);
    const list = listing('chat');
    mount(() => h(KeepAlive, () => (isShown.value ? h(list) : null)));
    await asked(['chat']);
    isShown.value = false;
    await nextTick();
    server.push('chat', 'hi');
    await hears('hi');
    assert.equal(lastListens(), 1);
  });

  test('a component that is unmounted hears no more', async () => {
    const left = ref(['a', 'b']);
    const lists = new Map(
      ['a', 'b'].map((key) => [key, listing('chat', ({ data }) => got.push(key + data))]),
    );
    mount(() => left.value.map((key) => h(lists.get(key) as Component, { key })));
    await asked(['chat']);
    left.value = ['b'];
    await nextTick();
    server.push('chat', '1');
    await hears('b1');
    assert.equal(lastListens(), 1);
  });
});
