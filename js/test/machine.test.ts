import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Frame } from '../src/frames';
import { groupOf, Rig } from './rig';

type Step = [(rig: Rig) => unknown, expected: string];

const start: Step = [(r) => r.do('start'), 'close, open websocket, connecting'];
const ready: Step = [(r) => r.ready(), 'connected'];
const error = (retry: number | null, code = 'overloaded'): Frame => ({
  type: 'error',
  code,
  detail: '',
  retry,
});

/** In each row: the inputs in turn, each with the expected effects. Chance is always a half. */
const TABLE: Record<string, Step[]> = {
  'a transport without a first frame in 5 s is left': [
    start,
    [(r) => r.later(4_999).do('tick'), ''],
    [(r) => r.later(1).do('tick'), 'close, open stream, connecting'],
    [(r) => r.due(), 'close, open poll, connecting'],
    [(r) => r.due(), 'close, waiting 500'],
    [(r) => r.due(), 'close, open websocket, connecting'],
    [(r) => r.due(), 'close, waiting 1000, error unreachable'],
  ],
  'after the first round, delays grow between transports': [
    start,
    [(r) => r.cut(), 'close, open stream, connecting'],
    [(r) => r.cut(), 'close, open poll, connecting'],
    [(r) => r.cut(), 'close, waiting 500'],
    [(r) => r.due(), 'close, open websocket, connecting'],
    [(r) => r.cut(), 'close, waiting 1000, error unreachable'],
    [(r) => r.due(), 'close, open stream, connecting'],
    [(r) => r.cut(), 'close, waiting 2000'],
    [(r) => r.due(), 'close, open poll, connecting'],
    [(r) => r.cut(), 'close, waiting 4000'],
    [(r) => r.due().cut(), 'close, waiting 8000'],
    [(r) => r.due().cut(), 'close, waiting 15000'],
    [(r) => r.due().cut(), 'close, waiting 15000'],
  ],
  'a proven transport is kept': [
    start,
    ready,
    [(r) => r.later(5_000).cut(), 'close, waiting 500'],
    [(r) => r.due(), 'close, open websocket, connecting'],
    [(r) => r.cut(), 'close, waiting 1000'],
    [(r) => r.due(), 'close, open websocket, connecting'],
    [(r) => r.due(), 'close, waiting 2000'],
    [(r) => r.due().cut(), 'close, waiting 4000, error unreachable'],
    [(r) => r.due().ready(), 'connected'],
    [(r) => r.cut(), 'close, waiting 8000'],
    [(r) => r.due().ready(), 'connected'],
    [(r) => r.later(5_000).cut(), 'close, waiting 500'],
  ],
  'a transport that is soon cut is left after three times': [
    start,
    ready,
    [(r) => r.later(300).cut(), 'close, waiting 500'],
    [(r) => r.due().ready(), 'connected'],
    [(r) => r.later(300).cut(), 'close, waiting 1000'],
    [(r) => r.due().ready(), 'connected'],
    [(r) => r.later(300).cut(), 'close, open stream, connecting'],
  ],
  'only a ready makes it connected': [
    start,
    [(r) => r.heartbeat(5), ''],
    [(r) => r.later(4_999).push(6), 'push chat@6'],
    [(r) => r.later(1).do('tick'), 'close, open stream, connecting'],
  ],
  'silence for heartbeat + 10 s is a cut': [
    start,
    [(r) => r.ready(100, { heartbeat: 3 }), 'connected'],
    [(r) => r.later(12_999).do('tick'), ''],
    [(r) => r.heartbeat(200), ''],
    [(r) => r.later(12_999).do('tick'), ''],
    [(r) => r.later(1).do('tick'), 'close, waiting 500'],
  ],
  'a computer that slept reconnects at the first tick': [
    start,
    ready,
    [(r) => r.later(8 * 3_600_000).do('tick'), 'close, waiting 500'],
  ],
  'a clock that was set back ends a wait': [
    start,
    ready,
    [(r) => r.later(6_000).cut(), 'close, waiting 500'],
    [(r) => r.later(-3_600_000).do('tick'), 'close, open websocket, connecting'],
  ],
  'a stream that ends is followed by the next, unseen': [
    start,
    [(r) => r.cut(), 'close, open stream, connecting'],
    ready,
    [(r) => r.later(500_000).whole(), 'close, open stream'],
    [(r) => r.ready(), ''],
    [(r) => r.later(99_000).whole(), 'close, open stream'],
    [(r) => r.due(), 'close, waiting 500'],
  ],
  'after 10 minutes the first transport is tried again': [
    start,
    [(r) => r.cut(), 'close, open stream, connecting'],
    ready,
    [(r) => r.later(599_999).whole(), 'close, open stream'],
    [(r) => r.ready(), ''],
    [(r) => r.later(1), ''],
    [(r) => r.push(200).whole(), 'close, open websocket, connecting'],
    [(r) => r.due(), 'close, open stream, connecting'],
    ready,
    [(r) => r.push(300).whole(), 'close, open stream'],
    [(r) => r.later(6_000).push(400), 'push chat@400'],
    [(r) => r.later(600_000).cut(), 'close, waiting 500'],
    [(r) => r.due(), 'close, open websocket, connecting'],
  ],
  'the remembered transport is tried first': [
    [(r) => r.do('start', 1), 'close, open stream, connecting'],
    [(r) => r.cut(), 'close, open poll, connecting'],
    [(r) => r.cut(), 'close, open websocket, connecting'],
    [(r) => r.cut(), 'close, waiting 500'],
  ],
  'a remembered transport that is not listed is ignored': [
    [(r) => r.do('start', -1), 'close, open websocket, connecting'],
  ],
  'polls follow one another, each held for a heartbeat': [
    start,
    [(r) => r.cut().cut(), 'close, open poll, connecting'],
    ready,
    [(r) => r.heartbeat(200).whole(), 'close, open poll'],
    [(r) => r.later(34_999).do('tick'), ''],
    [(r) => r.push(300), 'push chat@300'],
    [(r) => r.whole(), 'close, open poll'],
    [(r) => r.push(301), 'push chat@301'],
    [(r) => r.whole(), 'close, open poll'],
    [(r) => r.later(25_000).heartbeat(400), ''],
    [(r) => r.whole(), 'close, open poll'],
    [(r) => r.later(35_000).do('tick'), 'close, waiting 500'],
    [(r) => r.due(), 'close, open poll, connecting'],
    [(r) => r.later(20_000).heartbeat(500), 'connected'],
  ],
  'an empty answer to a held poll is in order': [
    start,
    [(r) => r.cut().cut().ready().heartbeat(200).whole(), 'close, open poll'],
    [(r) => r.later(25_000).whole(), 'close, open poll'],
  ],
  'a poll that is never answered is left': [
    start,
    [(r) => r.cut().cut().ready().heartbeat(200).whole(), 'close, open poll'],
    [(r) => r.cut(), 'close, waiting 500'],
    [(r) => r.due(), 'close, open poll, connecting'],
    [(r) => r.cut(), 'close, open websocket, connecting'],
  ],
  'a quiet poll is repeated at once, at any heartbeat': [
    start,
    [(r) => r.cut().cut().ready().heartbeat(200).whole(), 'close, open poll'],
    [(r) => r.later(990).heartbeat(1190).whole(), 'close, open poll'],
    [(r) => r.later(990).heartbeat(2180).whole(), 'close, open poll'],
  ],
  'empty answers in a row are slowed down': [
    start,
    [(r) => r.cut().cut().ready().heartbeat(200).whole(), 'close, open poll'],
    [(r) => r.later(10).heartbeat(200).whole(), 'close, waiting 500'],
    [(r) => r.due().later(10).heartbeat(200).whole(), 'close, waiting 1000'],
  ],
  'an error with retry null is fatal': [
    start,
    [(r) => r.hear(error(null, 'not_authorized')), 'close, failed, fatal not_authorized'],
    [(r) => r.wake(true), ''],
    [(r) => r.do('hide'), ''],
    [(r) => r.later(1e9).do('tick'), ''],
    [(r) => r.do('stop'), 'close, stopped'],
  ],
  'a listener that is replaced each time waits longer each time': [
    start,
    [(r) => r.ready().hear(error(null, 'replaced')), 'close, waiting 500, error replaced'],
    [(r) => r.due().ready().hear(error(null, 'replaced')), 'close, waiting 1000, error replaced'],
    [(r) => r.due().ready().hear(error(null, 'replaced')), 'close, waiting 2000, error replaced'],
  ],
  'retry is waited for, and nothing shortens it': [
    start,
    [(r) => r.hear(error(60)), 'close, waiting 60500, error overloaded'],
    [(r) => r.wake(), ''],
    [(r) => r.wake(true), ''],
    [(r) => r.later(59_999).do('tick'), ''],
    [(r) => r.later(1).do('tick'), 'close, open websocket, connecting'],
    [(r) => r.hear(error(60)), 'close, waiting 61000'],
    [(r) => r.later(60_000).wake(), 'close, open websocket, connecting'],
    [(r) => r.ready().hear(error(1)), 'close, waiting 3000, error overloaded'],
  ],
  'reconnect is obeyed to the millisecond': [
    start,
    ready,
    [(r) => r.hear({ type: 'reconnect', after: 1_234 }), 'close, waiting 1234'],
    [(r) => r.wake(), ''],
    [(r) => r.due(), 'close, open websocket, connecting'],
    [(r) => r.hear({ type: 'reconnect', after: 0 }), 'close, waiting 500'],
    [(r) => r.wake(), 'close, open websocket, connecting'],
  ],
  "a proxy's Retry-After is waited for": [
    start,
    [(r) => r.hear({ type: '(cut)', after: 7_000 }), 'close, waiting 7500'],
    [(r) => r.due(), 'close, open stream, connecting'],
  ],
  'online starts over with the first transport': [
    start,
    [(r) => r.cut(), 'close, open stream, connecting'],
    [(r) => r.wake(true), 'close, open websocket, connecting'],
    ready,
    [(r) => r.later(9_000).wake(true), 'close, open websocket, connecting'],
    [(r) => r.cut().cut().cut(), 'close, waiting 500'],
    [(r) => r.wake(true), 'close, open websocket, connecting'],
    [(r) => r.cut(), 'close, open stream, connecting'],
  ],
  'a visible page reconnects if it waits or is suspect': [
    start,
    [(r) => r.wake(), ''],
    ready,
    [(r) => r.later(27_000).wake(), ''],
    [(r) => r.later(1).wake(), 'close, open websocket, connecting'],
    [(r) => r.ready().later(6_000).cut(), 'close, waiting 500'],
    [(r) => r.wake(), 'close, open websocket, connecting'],
  ],
  'a page that is left closes, and resumes when shown': [
    start,
    ready,
    [(r) => r.do('hide'), 'close, waiting'],
    [(r) => r.later(1e9).do('tick'), ''],
    [(r) => r.wake(), 'close, open websocket, connecting'],
  ],
  'nothing follows stop': [
    start,
    ready,
    [(r) => r.do('stop'), 'close, stopped'],
    [(r) => r.push(200), ''],
    [(r) => r.cut(), ''],
    [(r) => r.wake(true), ''],
    [(r) => r.do('start'), ''],
    [(r) => r.do('stop'), ''],
  ],
  'stopped before the start, it never starts': [
    [(r) => r.do('stop'), 'close, stopped'],
    [(r) => r.do('start'), ''],
  ],
  'an unknown frame is ignored': [
    start,
    ready,
    [(r) => r.hear({ type: 'weather' } as unknown as Frame), ''],
  ],
  'warnings are told to the page': [
    start,
    [
      (r) => r.ready(1, { warnings: ['a key', 'another'] }),
      'connected, error warning, error warning',
    ],
  ],
};

describe('tables of inputs and effects', () => {
  for (const [promise, steps] of Object.entries(TABLE)) {
    test(promise, () => {
      const rig = new Rig();
      steps.forEach(([happens, expected], i) => {
        happens(rig);
        assert.equal(rig.did, expected, `step ${i + 1}`);
      });
    });
  }
});

describe('cursors', () => {
  const joined = (): Rig => new Rig().do('start').ready(100);

  test('pushes and heartbeats move a cursor, never back', () => {
    const rig = joined();
    assert.equal(rig.position, 100);
    assert.equal(rig.push(150).position, 150);
    assert.equal(rig.heartbeat(140).position, 150);
    assert.equal(rig.heartbeat(170).position, 170);
    assert.equal(rig.ready(10).position, 170);
  });

  test('a repeated push is dropped', () => {
    const rig = joined().push(150);
    assert.equal(rig.push(150).did, '');
    assert.equal(rig.push(149).did, '');
    assert.equal(rig.push(151).did, 'push chat@151');
  });

  test('a push not above the first cursor is dropped', () => {
    assert.equal(joined().push(100).did, '');
    assert.equal(joined().push(50).did, '');
  });

  test('a push for no group here is dropped', () => {
    assert.equal(joined().push(150, 'other').did, '');
  });

  test('after a gap a lower position is taken', () => {
    const rig = joined().push(150);
    assert.equal(rig.hear({ type: 'gap', identifiers: ['chat'] }).did, 'gap chat');
    assert.equal(rig.position, 150, 'until then the old one is kept, and tells the gap again');
    assert.equal(rig.push(50).did, 'push chat@50');
    assert.equal(rig.position, 50);
    assert.equal(rig.heartbeat(40).position, 50);
  });

  test("a gap is told in the page's spelling", () => {
    const rig = new Rig([groupOf(['GuestBook', 'chat'])]).do('start').ready();
    assert.equal(rig.hear({ type: 'gap', identifiers: ['guestbook'] }).did, 'gap GuestBook');
  });

  test('each group has its own cursor', () => {
    const groups = [groupOf(['a', 'b']), groupOf('b')];
    const rig = new Rig(groups).do('start');
    const positions = (): unknown => groups.map((group) => group.position);
    rig.hear({ type: 'ready', heartbeat: 25, positions: [100, 50] });
    assert.deepEqual(positions(), [100, 50]);
    assert.equal(rig.push(60, 'b').did, 'push b@60', 'which only the second has not had');
    assert.deepEqual(positions(), [100, 60]);
    rig.push(110, 'a');
    assert.deepEqual(positions(), [110, 60]);
    rig.heartbeat(120);
    assert.deepEqual(positions(), [120, 120]);
  });

  test('a heartbeat gives no first cursor', () => {
    const groups = [groupOf('a'), groupOf('b')];
    const rig = new Rig(groups).do('start');
    rig.hear({ type: 'ready', heartbeat: 25, positions: [100] }).heartbeat(200);
    assert.deepEqual(
      groups.map((group) => group.position),
      [200, undefined],
    );
  });

  test('joining again sends the same, and the cursor', () => {
    const rig = new Rig([groupOf({ Metrics: 59, tweets: 0 })]).do('start');
    rig.ready(100).push(150, 'metrics').cut().due();
    const [first, again] = rig.bodies.map((body) => JSON.parse(body));
    const identifiers = { Metrics: 59, tweets: 0 };
    assert.deepEqual(first, {
      type: 'listen',
      listener: '9f2c51d07ab34e18',
      groups: [{ identifiers }],
    });
    assert.deepEqual(again.groups, [{ identifiers, position: 150 }]);
  });
});
