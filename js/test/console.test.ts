/** The console's arithmetic: samples of several processes, and quantiles of their histograms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
