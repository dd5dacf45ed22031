import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { FakeServer } from './fake-server';
import { pick, seeded } from './random';
import { Locks, Tab } from './tabs';

/** The seconds of the tabs in one second of the test. */
const SPEED = 20;

let server: FakeServer;
let locks: Locks;
let tabs: Tab[] = [];

beforeEach(async () => {
  server = await new FakeServer().start();
  locks = new Locks();
});

afterEach(async () => {
  for (const tab of tabs) tab.crash();
  tabs = [];
  await server.stop();
});

async function until(holds: () => unknown, what: string, within = 15_000): Promise<void> {
  const end = performance.now() + within;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function open(more: object = {}): Tab {
  const tab = new Tab(locks, SPEED).listen(server.url, more);
  tabs.push(tab);
  return tab;
}

async function connected(...those: Tab[]): Promise<void> {
  await until(() => those.every((tab) => tab.state === 'connected'), 'all connected');
}

/** So many times the server was asked for an identifier. */
function askedFor(identifier: string): number {
  const asked = server.asked.map(({ listen }) => JSON.stringify(listen?.groups));
  return asked.filter((groups) => groups?.includes(`"${identifier}"`)).length;
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `${from + i}`);
}

describe('tabs that share a listener', () => {
  test('eight tabs share one connection and hear all once', async () => {
    const eight = Array.from({ length: 8 }, () => open());
    await connected(...eight);
    assert.equal(server.joined.size, 1);
    assert.equal(server.asked.at(-1)?.listen?.groups.length, 1);
    for (const number of numbers(0, 50)) server.push('chat', number);
    await until(() => eight.every(({ got }) => got.length >= 50), 'all pushes everywhere');
    for (const tab of eight) {
      assert.deepEqual(tab.got, numbers(0, 50));
      assert.equal(tab.transport, 'shared');
      assert.deepEqual(tab.said, []);
      assert.match(`${tab.loaded}`, /^http:.*\/1\/\.\.\/\d+\.\d+\.\d+\/cometify\.share\.min\.js$/);
    }
  });

  test('each begins after its own position', async () => {
    const first = open();
    await connected(first);
    server.push('chat', '0');
    const since = server.position;
    server.push('chat', '1');
    const second = open({ since });
    await connected(second);
    server.push('chat', '2');
    await until(() => second.got.length === 2 && first.got.length === 3, 'what each asked for');
    assert.deepEqual([first.got, second.got], [numbers(0, 3), numbers(1, 3)]);
    assert.deepEqual([first.gaps, second.gaps, server.joined.size], [[], [], 1]);
  });

  test('a position that is yet to come is a gap, and is not waited for', async () => {
    const first = open();
    await connected(first);
    const second = open({ since: server.position + 9_000 });
    await until(() => second.gaps.length, 'the gap');
    server.push('chat', 'now');
    await until(() => first.got.length && second.got.length, 'both hear it');
    assert.deepEqual([first.got, second.got, second.gaps], [['now'], ['now'], ['chat']]);
    assert.deepEqual(second.states, ['connecting', 'connected']);
  });

  for (const end of ['close', 'crash'] as const) {
    for (const transport of ['websocket', 'stream', 'poll']) {
      test(`leaders that ${end} in turn lose nothing: ${transport}`, async () => {
        const all = Array.from({ length: 4 }, () => open({ transports: [transport] }));
        await connected(...all);
        let pushed = 0;
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 10; i++) server.push('chat', `${pushed++}`);
          const leader = locks.leader as Tab;
          leader[end]();
          for (let i = 0; i < 10; i++) server.push('chat', `${pushed++}`);
          tabs = tabs.filter((tab) => tab !== leader);
          await until(
            () => tabs.every(({ got }) => got.length >= pushed),
            'the next one leads',
            9_000,
          );
          for (const tab of tabs) assert.deepEqual(tab.got, numbers(0, pushed));
        }
        await until(() => server.joined.size <= 1, 'one listener');
        assert.notEqual(locks.leader, undefined);
      });
    }
  }

  test('a frozen leader is replaced, and repeats nothing', async () => {
    server.heartbeat = 1;
    const all = Array.from({ length: 3 }, () => open());
    await connected(...all);
    server.push('chat', '0');
    await until(() => all.every(({ got }) => got.length === 1), 'the first');
    const leader = locks.leader as Tab;
    leader.freeze();
    server.push('chat', '1');
    const rest = all.filter((tab) => tab !== leader);
    await until(() => rest.every(({ got }) => got.length === 2), 'another leads', 9_000);
    assert.notEqual(locks.leader, leader);
    server.push('chat', '2');
    leader.thaw();
    server.push('chat', '3');
    await until(() => all.every(({ got }) => got.length >= 4), 'all of it everywhere', 9_000);
    for (const tab of all) assert.deepEqual(tab.got, numbers(0, 4));
    await until(() => server.joined.size === 1, 'one listener again');
  });

  test('a thawed tab catches up, also under a new leader', async () => {
    const all = Array.from({ length: 3 }, () => open());
    await connected(...all);
    const leader = locks.leader as Tab;
    const frozen = all.find((tab) => tab !== leader) as Tab;
    frozen.freeze();
    server.push('chat', '0');
    leader.crash();
    server.push('chat', '1');
    const last = all.find((tab) => tab !== leader && tab !== frozen) as Tab;
    await until(() => last.got.length === 2, 'the last one goes on', 9_000);
    frozen.thaw();
    server.push('chat', '2');
    await until(() => frozen.got.length >= 3 && last.got.length >= 3, 'all of it', 9_000);
    assert.deepEqual(frozen.got, numbers(0, 3));
    assert.deepEqual(last.got, numbers(0, 3));
  });

  test('a page in the back/forward cache holds no lock', async () => {
    const [one, other] = [open(), open()];
    await connected(one, other);
    const leader = locks.leader as Tab;
    const follower = leader === one ? other : one;
    leader.happen('pagehide');
    await until(() => locks.leader === follower, 'the other leads');
    assert.equal(leader.open, 0);
    server.push('chat', '0');
    await until(() => follower.got.length === 1, 'the other hears');
    assert.deepEqual(leader.got, []);
    leader.happen('pageshow');
    await until(() => leader.got.length === 1, 'what came while it was away');
    server.push('chat', '1');
    await until(() => leader.got.length === 2 && follower.got.length === 2, 'both go on');
    assert.deepEqual([leader.got, follower.got], [numbers(0, 2), numbers(0, 2)]);
    assert.equal(server.joined.size, 1);
  });

  test('each tab begins where it asked to begin', async () => {
    const plain = open();
    await connected(plain);
    server.push('chat', 'old', 5);
    server.push('chat', 'new', 6);
    await until(() => plain.got.length === 2, 'the first tab');
    const [later, all, above] = [
      open(),
      open({ identifiers: { chat: 0 } }),
      open({ identifiers: { chat: 5 } }),
    ];
    await connected(later, all, above);
    await until(() => all.got.length === 2 && above.got.length === 1, 'replays');
    server.push('chat', 'late', 4);
    server.push('chat', 'last', 7);
    await until(() => tabs.every(({ got }) => got.includes('last')), 'the last everywhere');
    assert.deepEqual(plain.got, ['old', 'new', 'late', 'last']);
    assert.deepEqual(later.got, ['late', 'last']);
    assert.deepEqual(all.got, ['old', 'new', 'late', 'last']);
    assert.deepEqual(above.got, ['new', 'last']);
    assert.equal(server.joined.size, 1);
  });

  test('groups of all tabs are one listener, without unused ones', async () => {
    const [a, b] = [open({ identifiers: 'a' }), open({ identifiers: ['a', 'b'], secureKey: 'k' })];
    await connected(a, b);
    const asked = () =>
      server.asked
        .at(-1)
        ?.listen?.groups.map((group) => `${group.identifiers}`)
        .sort();
    await until(() => asked()?.length === 2, 'two groups');
    assert.deepEqual(asked(), ['a', 'a,b']);
    a.run("listener.subscribe('c')");
    await until(() => asked()?.length === 3, 'three groups');
    server.push('c', 'for a');
    await until(() => a.got.length, 'the push');
    assert.deepEqual(b.got, []);
    b.run('listener.stop()');
    await until(() => asked()?.length === 2, 'two groups again');
    assert.deepEqual(asked(), ['a', 'c']);
    assert.equal(server.joined.size, 1);
  });

  test('a lost connection is told to all tabs, and all resume', async () => {
    const all = Array.from({ length: 3 }, () => open());
    await connected(...all);
    server.cut();
    await until(() => all.every(({ states }) => states.includes('waiting')), 'told');
    server.push('chat', '0');
    await until(() => all.every(({ got }) => got.length === 1), 'all go on');
    assert.equal(server.joined.size, 1);
  });

  test('a stopped tab has no lock, channel or timer', async () => {
    const [one, other] = [open(), open()];
    await connected(one, other);
    for (const tab of [locks.leader as Tab, locks.leader === one ? other : one]) {
      tab.run('listener.stop()');
      await until(() => locks.leader !== tab, 'the lock is free');
      assert.deepEqual([tab.open, tab.pending, tab.state], [0, 0, 'stopped']);
    }
    assert.equal(locks.leader, undefined);
    await until(() => server.joined.size === 0, 'no listener is left');
    server.push('chat', 'too late');
    assert.deepEqual([one.got, other.got], [[], []]);
  });

  test('a fatal error fails every tab, with the reason', async () => {
    const all = Array.from({ length: 3 }, () => open());
    await connected(...all);
    server.say({ type: 'error', code: 'not_authorized', detail: 'Gone.', retry: null });
    await until(() => all.every(({ state }) => state === 'failed'), 'failed');
    for (const tab of all) assert.deepEqual(tab.said, ['Cometify: not_authorized: Gone.']);
    await until(() => !locks.leader, 'nobody leads');
  });

  test('an expired token fails only its own tab', async () => {
    const token = (exp: number) => `x.${btoa(JSON.stringify({ exp }))}.x`;
    const soon = open({ token: token(1e9) });
    const [long, none] = [open({ token: token(2e9) }), open()];
    await connected(soon, long, none);
    server.say({ type: 'error', code: 'invalid_token', detail: 'It expired.', retry: null });
    server.script = (_transport, _to) => false;
    await until(() => soon.states.includes('waiting'), 'asks for another, once');
    server.say({ type: 'error', code: 'invalid_token', detail: 'It expired.', retry: null });
    await connected(long, none);
    server.push('chat', 'on');
    await until(() => long.got.length && none.got.length, 'the others go on');
  });

  test('two listeners of one tab load the module once', async () => {
    const tab = open();
    const first = tab.run('listener');
    tab.listen(server.url);
    await connected(tab);
    assert.equal(tab.loaded.length, 1);
    (first as { stop(): void }).stop();
  });

  test('without locks each tab listens by itself', async () => {
    const alone = new Tab(undefined, SPEED).listen(server.url);
    tabs.push(alone);
    await connected(alone);
    assert.equal(alone.transport, 'websocket');
    alone.run(`
      other = [];
      listener.subscribe({news: 5}, {token: () => 'a.b.c', callback: (data) => other.push(data)});
    `);
    await until(() => server.asked[0]?.listens === 2, 'asked for more');
    assert.equal(server.asked[0]?.listen?.groups[1]?.token, 'a.b.c');
    server.push('news', 'no', 4);
    server.push('news', 'yes', 6);
    server.push('chat', 'hi');
    await until(() => alone.got.length, 'the last');
    assert.deepEqual([alone.got, alone.run('other.join()')], [['hi'], 'yes']);
    assert.deepEqual(alone.said, []);
  });

  test('subscriptions of sharing tabs end one by one', async () => {
    const both = [open({ identifiers: [] }), open({ identifiers: [] })] as const;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual([both[0].state, server.asked.length], ['idle', 0]);
    for (const tab of both) {
      tab.run(`
        other = [];
        one = listener.subscribe('chat');
        two = listener.subscribe('chat', {callback: (data) => other.push(data)});
      `);
    }
    await connected(...both);
    server.push('chat', '0');
    await until(() => both.every((tab) => tab.run('other.length') === 1), 'heard everywhere');
    assert.equal(server.asked.at(-1)?.listen?.groups.length, 1);
    both[0].run('one.stop()');
    both[1].run('one.stop(); two.stop()');
    await until(() => both[1].state === 'idle', 'one tab is idle');
    server.push('chat', '1');
    await until(() => both[0].run('other.length') === 2, 'the other goes on');
    assert.deepEqual([both[0].got, both[1].got, both[1].run('other.join()')], [['0'], ['0'], '0']);
    both[0].run('two.stop()');
    await until(() => server.joined.size === 0, 'nobody listens');
  });

  test('a token that fails costs one group of one tab its right', async () => {
    const detail = 'The token is not accepted.';
    server.accept = ({ groups }) =>
      groups.some(({ token }) => token === 'bad')
        ? { type: 'error', code: 'invalid_token', detail, retry: null }
        : undefined;
    const good = open({ token: 'good' });
    await connected(good);
    for (const token of ["() => { throw new Error('closed') }", "'bad'"]) {
      const tab = open();
      await connected(tab);
      tab.run(`
        other = []; told = [];
        listener.subscribe('orders', {token: ${token}, callback: (data) => other.push(data)})
          .on('error', ({code, fatal, identifiers}) => told.push([code, fatal, ...identifiers].join()));
      `);
      await until(() => tab.run('told.length') && server.joined.size === 1, 'told', 9_000);
      await until(
        () => JSON.stringify(server.asked.at(-1)?.listen?.groups ?? []).includes('orders'),
        'joined without the right',
      );
      await connected(good, tab);
      server.push('chat', token);
      server.push('orders', token);
      await until(() => good.got.at(-1) === token && tab.got.at(-1) === token, 'public pushes');
      await until(() => tab.run('other.at(-1)') === token, 'those of its group too');
      const code = token === "'bad'" ? 'invalid_token' : 'token_failed';
      assert.equal(tab.run('told[0]'), `${code},false,orders`);
      tab.close();
      tabs = tabs.filter((one) => one !== tab);
    }
    const tokens = server.asked.at(-1)?.listen?.groups.map(({ token }) => token);
    assert.ok(tokens?.includes('good'), `${tokens}`);
    assert.deepEqual(good.said, []);
  });

  for (const transport of ['websocket', 'stream', 'poll']) {
    test(`a group too many is refused in its own tab alone: ${transport}`, async () => {
      server.most = 2;
      const [good, holds, bad] = [0, 1, 2].map(() => open({ transports: [transport] })) as [
        Tab,
        Tab,
        Tab,
      ];
      await connected(good, holds, bad);
      holds.run("other = listener.subscribe('a')");
      await until(() => server.asked.at(-1)?.listen?.groups.length === 2, 'two groups');
      await connected(good, holds, bad);
      bad.run("other = listener.subscribe('b')");
      await until(() => bad.said.length, 'told');
      await connected(good, holds, bad);
      assert.deepEqual(bad.said, ['Cometify: refused: Not joined.']);
      server.push('b', 'early');
      server.push('chat', 'hi');
      await until(() => [good, holds, bad].every(({ got }) => got.length), 'all go on');
      assert.deepEqual([good.said, holds.said, bad.got], [[], [], ['hi']]);
      // The tab that was first changes what it asks for, which costs nobody else a group.
      good.run("more = listener.subscribe('CHAT')");
      await until(() => server.asked.at(-1)?.listen?.groups.length === 4, 'four groups');
      await connected(good, holds, bad);
      holds.run('other.stop()');
      await until(() => bad.got.length > 1, 'the refused group has joined');
      server.push('b', 'late');
      await until(() => bad.got.length > 2, 'it is live');
      assert.deepEqual([bad.got, bad.said.length], [['hi', 'early', 'late'], 1]);
      assert.deepEqual([good.said, holds.said], [[], []]);
    });
  }

  test('an identifier that is refused costs no other tab its own', async () => {
    server.accept = ({ groups }) =>
      groups.some(({ identifiers }) => `${identifiers}`.includes('-'))
        ? { type: 'error', code: 'invalid_identifier', detail: 'No hyphen.', retry: null }
        : undefined;
    const [good, bad] = [open(), open()];
    await connected(good, bad);
    bad.run("other = listener.subscribe('my-news')");
    await until(() => bad.said.length, 'told');
    assert.deepEqual(bad.said, ['Cometify: invalid_identifier: No hyphen.']);
    await connected(good, bad);
    server.push('chat', 'hi');
    await until(() => good.got.length && bad.got.length, 'both go on');
    assert.deepEqual([bad.run('other.state'), good.said], ['stopped', []]);
    assert.equal(askedFor('my-news'), 1);
  });

  test('an identifier that is too long costs no other tab its own', async () => {
    server.accept = ({ groups }) =>
      groups.some(({ identifiers }) => /\w{61}/.test(`${identifiers}`))
        ? { type: 'error', code: 'invalid_identifier', detail: 'Too long.', retry: null }
        : undefined;
    const [good, bad] = [open(), open()];
    await connected(good, bad);
    bad.run("other = listener.subscribe('a'.repeat(61))");
    await until(() => bad.said.length, 'told');
    await connected(good, bad);
    assert.deepEqual([bad.run('other.state'), good.said], ['stopped', []]);
    assert.equal(askedFor('a'.repeat(61)), 1);
  });

  test('all tabs fail if the refused identifier cannot be found', async () => {
    server.accept = () => ({
      type: 'error',
      code: 'invalid_identifier',
      detail: 'Not this one.',
      retry: null,
    });
    const both = [open(), open({ identifiers: 'news' })];
    await until(() => both.every(({ state }) => state === 'failed'), 'failed');
    for (const tab of both) {
      assert.deepEqual(tab.said, ['Cometify: invalid_identifier: Not this one.']);
    }
  });

  test('a module that failed to load is fetched again', async () => {
    const tab = new Tab(locks, SPEED);
    tabs.push(tab);
    tab.isCutOff = true;
    tab.listen(server.url);
    await connected(tab);
    assert.deepEqual(tab.said, [
      'Cometify: not_shared: cometify.share.min.js failed. This tab listens alone.',
    ]);
    tab.isCutOff = false;
    tab.listen(server.url);
    await connected(tab);
    assert.deepEqual([tab.transport, tab.loaded.length, tab.said.length], ['shared', 2, 1]);
  });

  test('a shared listener goes on when its id is taken', async () => {
    const both = [open(), open()];
    await connected(...both);
    const asking = () => server.asked.at(-1)?.listen?.listener;
    const taken = asking();
    server.say({ type: 'error', code: 'replaced', detail: 'Take another id.', retry: null });
    await until(() => asking() && asking() !== taken, 'another id');
    await connected(...both);
    server.push('chat', 'hi');
    await until(() => both.every(({ got }) => got.length), 'both go on');
    assert.deepEqual(
      both.map((tab) => tab.said),
      [[], []],
    );
  });

  test('no push is lost or repeated, whatever the tabs do', async () => {
    const chance = seeded(11);
    const names = ['a', 'b', 'c'];
    const begun = new Map<Tab, number>();
    const openOne = async (): Promise<void> => {
      const tab = open({ identifiers: names });
      await connected(tab);
      begun.set(tab, pushed);
    };
    let pushed = 0;
    for (let i = 0; i < 3; i++) await openOne();
    for (let round = 0; round < 25; round++) {
      const dice = chance();
      if (dice < 0.25 && tabs.length > 2) {
        const gone = pick(chance, tabs);
        gone[chance() < 0.5 ? 'close' : 'crash']();
        tabs = tabs.filter((tab) => tab !== gone);
      } else if (dice < 0.45 && tabs.length < 6) {
        await until(
          () =>
            tabs.every((tab) => tab.got.at(-1) === `${pushed - 1}` || pushed === begun.get(tab)),
          'calm',
        );
        await openOne();
      } else if (dice < 0.6) server.cut();
      else if (dice < 0.7) {
        const away = pick(chance, tabs);
        away.happen('pagehide');
        setTimeout(() => away.happen('pageshow'), 30);
      } else if (dice < 0.8) pick(chance, tabs).happen('online');
      for (let i = 0; i < 10; i++) server.push(pick(chance, names), `${pushed++}`);
      await new Promise((resolve) => setTimeout(resolve, chance() * 60));
    }
    await until(() => tabs.every(({ got }) => got.at(-1) === `${pushed - 1}`), 'all heard', 20_000);
    for (const tab of tabs) assert.deepEqual(tab.got, numbers(begun.get(tab) as number, pushed));
    await until(() => server.joined.size === 1, 'one listener');
  });
});
