/** The shell around the machine: which connection is heard. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect } from '../src/effects';
import type { Frame } from '../src/frames';
import { createRun, type Ways } from '../src/run';
import { groupOf } from './rig';
import { thrown } from './world';

test('a connection that was closed is no longer heard', () => {
  const reports: ((frame: Frame) => void)[] = [];
  const open = (_url: string, _listen: string, report: (frame: Frame) => void) => {
    reports.push(report);
    return { close() {} };
  };
  const ways = { websocket: open, stream: open } as Partial<Ways> as Ways;
  const heard: Effect[] = [];
  const run = createRun(
    'https://old.example.org/1/',
    [groupOf('chat')],
    ['websocket', 'stream'],
    ways,
    (effect) => heard.push(effect),
  );
  run.start();
  const [first] = reports;
  first?.({ type: '(cut)' });
  assert.equal(reports.length, 2);
  first?.({ type: 'ready', heartbeat: 25, positions: [1] });
  first?.({ type: '(cut)' });
  assert.deepEqual([run.state, reports.length], ['connecting', 2]);
  reports[1]?.({ type: 'ready', heartbeat: 25, positions: [1] });
  assert.equal(run.state, 'connected');
  run.feed({ type: 'stop' });
  heard.length = 0;
  reports[1]?.({ type: 'push', identifier: 'chat', push_id: null, text: 'late', position: 2 });
  assert.deepEqual([heard, thrown], [[], []]);
});
