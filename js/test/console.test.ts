/** The console's arithmetic: samples of several processes, and quantiles of their histograms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProcessState, RedisState } from '../console/answers';
import { faults, Missing, whose } from '../console/faults';
import { quantile, Totals } from '../console/totals';

const FROM = 1_800_000_000;

function samples(from: number, columns: Record<string, number[]>) {
  return { every: 5, from, samples: Object.values(columns)[0]?.length || 0, columns };
}

test('samples of one time are added', () => {
  const totals = new Totals();
  totals.add('a', samples(FROM, { pushes: [1, 2, 3] }));
  totals.add('b', samples(FROM + 5, { pushes: [10, 20], gaps: [0, 1] }));
  const times = totals.times(FROM + 10);
  assert.deepEqual(times, [FROM, FROM + 5, FROM + 10]);
  assert.deepEqual(
    times.map((time) => totals.at(time).pushes),
    [1, 12, 23],
  );
  assert.deepEqual(totals.at(FROM + 10), { pushes: 23, gaps: 1 });
});

test('a sample that comes twice counts once', () => {
  const totals = new Totals();
  totals.add('a', samples(FROM, { pushes: [1, 2] }));
  totals.add('a', samples(FROM + 5, { pushes: [2, 3] }));
  assert.deepEqual(
    totals.times(FROM + 10).map((time) => totals.at(time).pushes),
    [1, 2, 3],
  );
  assert.equal(totals.since(['a']), FROM + 10);
  assert.equal(totals.since(['a', 'new']), 0);
});

test('times end where a process has not told its sample yet', () => {
  const totals = new Totals();
  totals.add('a', samples(FROM, { listeners: [5, 5, 5] }));
  totals.add('b', samples(FROM, { listeners: [7, 7] }));
  assert.equal(totals.settle(['a', 'b'], FROM + 12), FROM + 5);
  assert.equal(
    totals.settle(['a', 'b'], FROM + 100),
    FROM + 85,
    'one that hangs is not waited for',
  );
});

test('what is older than an hour is forgotten, and the part of a process that is gone is kept', () => {
  const totals = new Totals();
  totals.add('gone', samples(FROM, { pushes: [1, 1] }));
  totals.add('a', samples(FROM + 3600, { pushes: [2, 2] }));
  totals.settle(['a'], FROM + 3605);
  assert.deepEqual(totals.names('pu'), ['shes']);
  assert.equal(totals.times(FROM + 3605)[0], FROM + 5);
  assert.deepEqual(totals.at(FROM), {});
});

test('a quantile lies between the bounds of its bucket', () => {
  const bounds = [0.1, 0.2, 0.4];
  const columns = { 'lag.0': 50, 'lag.1': 40, 'lag.2': 10 };
  assert.equal(quantile(columns, 'lag', bounds, 0.5), 0.1);
  assert.ok(Math.abs((quantile(columns, 'lag', bounds, 0.95) || 0) - 0.3) < 1e-9);
  assert.equal(quantile({ 'lag.3': 1 }, 'lag', bounds, 0.5), 0.4, 'above all bounds');
  assert.equal(quantile({}, 'lag', bounds, 0.5), null);
});

const NOW = FROM + 1000;
const REDIS: RedisState = {
  up: true,
  reason: null,
  used: 50,
  most: 100,
  policy: 'noeviction',
  replicas: null,
  wanted_replicas: 0,
};

function process(id: string, more: Partial<ProcessState> = {}): ProcessState {
  return {
    ...{ id, host: `web${id}`, pid: 10, version: '1', started: FROM, now: NOW, not_ready: null },
    ...{ engine: 'redis', http: [], bounds: [], history: samples(NOW, {}), redis: REDIS },
    ...{ descriptors: { used: 20, most: 200 }, certificates: [] },
    ...more,
  };
}

function told(...processes: ProcessState[]) {
  return { alone: null, silent: [], processes };
}

function words(more: Partial<ProcessState>, now = NOW): string[] {
  return faults(told(process('1', more)), now).map((fault) => fault.words);
}

test('a process without a fault tells none, and one of an older version neither', () => {
  assert.deepEqual(words({}), []);
  assert.deepEqual(
    words({ redis: undefined, descriptors: undefined, certificates: undefined }),
    [],
  );
});

test('each incident has words of its own', () => {
  const cases: [Partial<ProcessState>, RegExp][] = [
    [
      { not_ready: 'engine_unavailable', redis: { ...REDIS, up: false, reason: 'WRONGPASS no' } },
      /^Redis is away: WRONGPASS no\.$/,
    ],
    [
      { not_ready: 'accounts_unavailable', redis: REDIS },
      /^It is not ready: accounts_unavailable\.$/,
    ],
    [
      { not_ready: 'replicas_missing', redis: { ...REDIS, replicas: 0, wanted_replicas: 1 } },
      /^0 of 1 replicas of Redis answer/,
    ],
    [{ redis: { ...REDIS, used: 81 } }, /^Redis uses 81 B of 100 B/],
    [{ redis: { ...REDIS, policy: 'allkeys-lru' } }, /\(allkeys-lru\)/],
    [{ descriptors: { used: 190, most: 200 } }, /^190 of 200 file descriptors/],
    [
      { certificates: [{ endpoint: 'ssl:443', not_after: NOW - 864_000, lacks: null }] },
      /ssl:443 expired 10 d ago/,
    ],
    [
      { certificates: [{ endpoint: 'ssl:443', not_after: NOW + 432_000, lacks: null }] },
      /ssl:443 expires in 5 d/,
    ],
    [
      { certificates: [{ endpoint: 'ssl:443', not_after: NOW + 1e7, lacks: 'CN=authority' }] },
      /lacks that of its authority: CN=authority/,
    ],
    [{ now: NOW + 600 }, /^Its clock is 10 min ahead of that of this browser/],
  ];
  for (const [more, expected] of cases) {
    const found = words(more);
    assert.equal(found.length, 1, `${found}`);
    assert.match(found[0] as string, expected);
  }
});

test('what is no fault yet is not told', () => {
  const quiet: Partial<ProcessState>[] = [
    { redis: { ...REDIS, used: 79 } },
    { redis: { ...REDIS, used: 900, most: 0 } },
    { redis: { ...REDIS, used: null, policy: null } },
    { redis: { ...REDIS, replicas: 2, wanted_replicas: 1 } },
    { descriptors: { used: 150, most: 200 } },
    { descriptors: { used: 150_000, most: null } },
    { certificates: [{ endpoint: 'ssl:443', not_after: NOW + 15 * 86_400, lacks: null }] },
    { now: NOW - 1 },
  ];
  for (const more of quiet) assert.deepEqual(words(more), []);
});

test('one fault of many processes is told once, and a clock that differs from most', () => {
  const away = { redis: { ...REDIS, up: false, reason: 'LOADING' } };
  const found = faults(
    told(process('1', away), process('2', { ...away, now: NOW - 30 }), process('3', away)),
    NOW,
  );
  assert.deepEqual(
    found.map((fault) => [whose(fault), fault.words.split(':')[0]]),
    [
      ['web1 10 and 2 more', 'Redis is away'],
      ['web2 10', 'Its clock is 30 s behind those of the others'],
    ],
  );
  const late = faults(told(process('1'), process('2'), process('3')), NOW - 60);
  assert.match(late.map((fault) => fault.words).join(), /one of both is wrong/);
});

test('a silent worker is a fault', () => {
  const silent = [{ worker: 2, pid: 77, seconds: 9 }];
  const found = faults({ alone: null, silent, processes: [process('1')] }, NOW);
  assert.deepEqual(found.map(whose), ['worker 2, 77']);
});

test('a process that no longer answers is missed until another has come in its place', () => {
  const missing = new Missing();
  const [one, other] = [process('1'), process('2', { pid: 11 })];
  assert.deepEqual(missing.note(told(one, other), 100), []);
  assert.deepEqual(missing.note(told(one), 105), [[other, 5]]);
  assert.deepEqual(missing.note({ ...told(one), alone: 'Redis is away' }, 110), []);
  const silent = [{ worker: 1, pid: 11, seconds: 9 }];
  assert.deepEqual(missing.note({ ...told(one), silent }, 110), [], 'the supervisor tells of it');
  assert.deepEqual(missing.note(told(one), 115), [[other, 15]]);
  const successor = process('3', { host: 'web2', started: NOW + 20, now: NOW + 20 });
  assert.deepEqual(missing.note(told(one, successor), 120), []);
  assert.deepEqual(missing.note(told(one), 125), [[successor, 5]]);
  assert.deepEqual(missing.note(told(one), 900), [], 'it is forgotten after five minutes');
});
