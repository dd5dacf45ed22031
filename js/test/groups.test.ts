/** Groups that come and go while a listener runs, and the frames that tell the server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { groupOf, Rig } from './rig';

function asked(rig: Rig): unknown[] {
  return JSON.parse(rig.bodies.at(-1) as string).groups;
}

function joined(): Rig {
  return new Rig().do('start').ready(100);
}

describe('another group', () => {
  test('a WebSocket joins it by another listen', () => {
    const rig = joined().push(150);
    const news = groupOf('news');
    rig.groups.push(news);
    assert.equal(rig.do('regroup').did, 'listen');
    assert.deepEqual(asked(rig), [
      { identifiers: ['chat'], position: 150 },
      { identifiers: ['news'] },
    ]);
    assert.equal(rig.push(160).did, 'push chat@160', 'pushes may come before the ready');
    assert.equal(rig.heartbeat(170).position, 170);
    assert.equal(news.position, undefined, 'the heartbeat did not speak for it');
    rig.hear({ type: 'ready', heartbeat: 25, positions: [160, 165] });
    assert.deepEqual([rig.position, news.position], [170, 165]);
    assert.equal(rig.push(180, 'news').did, 'push news@180');
    assert.equal(rig.heartbeat(190).position, 190);
    assert.equal(news.position, 190);
  });

  test('each ready belongs to the listen that it answers', () => {
    const rig = joined();
    const [a, b] = [groupOf('a'), groupOf('b')];
    rig.groups.push(a);
    rig.do('regroup');
    rig.groups.splice(0, 1, b);
    rig.do('regroup');
    rig.hear({ type: 'ready', heartbeat: 25, positions: [100, 110] });
    assert.deepEqual([a.position, b.position], [110, undefined]);
    rig.hear({ type: 'ready', heartbeat: 25, positions: [120, 110] });
    assert.deepEqual([a.position, b.position], [110, 120]);
  });

  test('an unasked ready changes no cursor', () => {
    const rig = joined().push(150);
    assert.equal(rig.hear({ type: 'ready', heartbeat: 25, positions: [10] }).position, 150);
    assert.equal(rig.heartbeat(160).position, 160);
  });

  test('a joined identifier from elsewhere needs a new connection', () => {
    const rig = joined().push(150);
    rig.groups.push(groupOf({ chat: 0 }));
    assert.equal(rig.do('regroup').did, 'close, open websocket');
    rig.hear({ type: 'ready', heartbeat: 25, positions: [150, 50] });
    assert.equal(rig.push(60).did, 'push chat@60', 'replayed to the one that has not had it');
    assert.equal(rig.push(150).did, 'push chat@150');
    assert.equal(rig.push(160).did, 'push chat@160, push chat@160');
  });

  test('new identifiers with internal ids need no new connection', () => {
    const rig = joined();
    rig.groups.push(groupOf({ metrics: 59 }));
    assert.equal(rig.do('regroup').did, 'listen');
  });

  test('on HTTP a new request joins it, unseen by the page', () => {
    const rig = new Rig([groupOf('chat')], ['stream']).do('start').ready(100).push(150);
    rig.groups.push(groupOf('news'));
    assert.equal(rig.do('regroup').did, 'close, open stream');
    assert.deepEqual(asked(rig), [
      { identifiers: ['chat'], position: 150 },
      { identifiers: ['news'] },
    ]);
    assert.equal(rig.ready(150).did, '');
  });

  test('a poll with changed groups may be answered at once', () => {
    const rig = new Rig([groupOf('chat')], ['poll']).do('start').ready(100).heartbeat(100).whole();
    assert.equal(rig.do('regroup').did, 'close, open poll');
    assert.equal(rig.later(5).heartbeat(105).whole().did, 'close, open poll');
    assert.equal(rig.later(5).heartbeat(110).whole().did, 'close, waiting 500');
  });

  test('a group added while waiting joins at the next attempt', () => {
    const rig = joined().later(6_000).cut();
    rig.groups.push(groupOf('news'));
    assert.equal(rig.do('regroup').did, '');
    rig.due();
    assert.equal(asked(rig).length, 2);
  });

  test('without groups the listener is idle', () => {
    const rig = joined();
    const [group] = rig.groups.splice(0);
    assert.equal(rig.do('regroup').did, 'close, idle');
    assert.equal(rig.deadline, Infinity);
    assert.equal(rig.wake(true).did, '');
    rig.groups.push(group as (typeof rig.groups)[0]);
    assert.equal(rig.do('regroup').did, 'close, open websocket, connecting');
  });
});

describe('internal ids', () => {
  test('a group gets only pushes above its own internal id', () => {
    const above = (identifiers: Record<string, number | string>) =>
      groupOf(identifiers as Record<string, number>);
    const rig = new Rig([
      above({ chat: '9223372036854775806' }),
      above({ chat: 5 }),
      groupOf('chat'),
    ]);
    rig.do('start').hear({ type: 'ready', heartbeat: 25, positions: [1, 1, 1] });
    let position = 1;
    const takers = (push_id: number | string | null): number => {
      position++;
      rig.hear({ type: 'push', identifier: 'chat', push_id, text: '', position });
      return rig.effects.filter(({ type }) => type === 'push').length;
    };
    assert.deepEqual([5, 6, 10, null, '9223372036854775807'].map(takers), [1, 2, 2, 3, 3]);
  });
});
