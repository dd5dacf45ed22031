import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Effect } from '../src/effects';
import type { Frame } from '../src/frames';
import type { Group } from '../src/group';
import type { Transport } from '../src/transport';
import { pick, seeded } from './random';
import { groupOf, Rig, word } from './rig';

const ROUNDS = 400;
const STEPS = 300;
const ALL: Transport[] = ['websocket', 'stream', 'poll'];

/** Any frame, sensible or not. */
function anyFrame(chance: () => number): Frame {
  const position = Math.floor(chance() * 1_000);
  const retry = pick(chance, [null, 0, 1, 90]);
  return pick<Frame>(chance, [
    { type: 'ready', heartbeat: 25, positions: [position, position] },
    { type: 'ready', heartbeat: 25, positions: [position, position] },
    { type: 'push', identifier: pick(chance, ['a', 'b', 'c']), push_id: 1, text: '', position },
    { type: 'push', identifier: pick(chance, ['a', 'b', 'c']), push_id: 1, text: '', position },
    { type: 'heartbeat', position },
    { type: 'gap', identifiers: [pick(chance, ['a', 'b'])] },
    { type: 'reconnect', after: Math.floor(chance() * 9_000) },
    { type: '(cut)' },
    { type: '(whole)' },
    chance() < 0.1 ? { type: 'error', code: 'x', detail: '', retry } : { type: '(whole)' },
  ]);
}

function anyStep(rig: Rig, chance: () => number): void {
  rig.later(Math.floor(chance() ** 4 * 60_000));
  rig.chance = chance();
  const dice = chance();
  if (dice < 0.6) {
    rig.hear(anyFrame(chance));
  } else if (dice < 0.8) {
    if (rig.deadline < Infinity && chance() < 0.7) rig.due();
    else rig.do('tick');
  } else if (dice < 0.9) rig.wake(chance() < 0.3);
  else if (dice < 0.93) regroup(rig, chance);
  else if (dice < 0.96) rig.do('hide');
  else if (dice < 0.995) rig.do('start');
  else rig.do('stop');
}

type Names = Parameters<typeof groupOf>[0];

/** Adds a group, removes one, or both, as subscribe and unsubscribe do. */
function regroup(rig: Rig, chance: () => number): void {
  const { groups } = rig;
  if (chance() < 0.5) groups.splice(Math.floor(chance() * groups.length), 1);
  if (chance() < 0.6)
    groups.push(groupOf(pick<Names>(chance, ['a', ['b', 'c'], { a: 3 }, { c: 0 }])));
  rig.do('regroup');
}

/** The invariants of any life of a listener. */
class Watch {
  live = 0;
  state = 'idle';
  /** The position of the last push that each group was given, since the last gap. */
  last = new Map<Group, number>();

  constructor(readonly rig: Rig) {}

  effects(effects: Effect[]): void {
    const was = this.state;
    let told = false;
    for (const effect of effects) {
      if (effect.type === 'close') this.live = 0;
      else if (effect.type === 'open') this.live++;
      else told = true;
      if (effect.type === 'open' || effect.type === 'close') {
        assert.ok(!told, 'the network comes before the page');
      }
      this.one(effect);
    }
    if (was === 'stopped') assert.deepEqual(effects.map(word), [], 'stopped is the end');
    assert.ok(this.live <= 1, 'one connection at most');
    assert.equal(this.live, Number(/^connect/.test(this.state)), this.state);
    const finite = this.rig.deadline < Infinity;
    if (/^connect/.test(this.state)) assert.ok(finite, 'a connection is watched');
    else if (this.state !== 'waiting') assert.ok(!finite, `no timer when ${this.state}`);
  }

  one(effect: Effect): void {
    if (effect.type === 'state') {
      this.state = effect.state;
      assert.ok((effect.after ?? 0) <= 90_000 + 30_000);
    } else if (effect.type === 'gap') {
      // The cursor is the group's: all of it takes what comes next, lower or not.
      this.last.clear();
    } else if (effect.type === 'push') {
      const { group, push } = effect;
      assert.match(this.state, /^connect/);
      assert.ok(group.spelling.has(push.identifier));
      assert.ok(this.rig.groups.includes(group), 'a group that is gone gets nothing');
      assert.ok(push.position > (this.last.get(group) ?? -1), 'no push twice');
      this.last.set(group, push.position);
    }
  }
}

function live(seed: number): void {
  const chance = seeded(seed);
  const groups = [groupOf(['a', 'b'])];
  const rig = new Rig(groups, pick(chance, [ALL, ['stream', 'poll'], ['poll']]));
  const watch = new Watch(rig);
  for (let i = 0; i < STEPS; i++) {
    const before = new Map(groups.map((group) => [group, { ...group }]));
    anyStep(rig, chance);
    watch.effects(rig.effects);
    for (const [group, { position, isGap }] of before) {
      if (position !== undefined && !isGap) {
        assert.ok((group.position as number) >= position, 'a cursor went back');
      }
    }
  }
}

/**
 * A server that keeps everything, over connections that are cut anywhere: between frames, before the
 * first, by silence. Every push reaches the page once and in order.
 */
function resume(seed: number, transport: Transport): void {
  const chance = seeded(seed);
  const names = ['a', 'b', 'c'];
  const rig = new Rig([groupOf(names)], [transport]);
  const kept: Frame[] = [];
  const got: number[] = [];
  let head = 0;
  const collect = (): void => {
    for (const effect of rig.effects) {
      if (effect.type === 'push') got.push(effect.push.position);
    }
  };
  const say = (frame: Frame): void => {
    rig.hear(frame);
    collect();
  };
  rig.do('start');
  const { opened: first } = rig;
  rig.ready(0);
  while (got.length < 500) {
    assert.ok(rig.opened - first < 20_000, 'it gets nowhere');
    if (chance() < 0.8 && kept.length < 500) {
      head += 1 + Math.floor(chance() * 5);
      const identifier = pick(chance, names);
      kept.push({ type: 'push', identifier, push_id: null, text: '', position: head });
    }
    serve(rig, kept, head, chance, say);
    if (rig.deadline < Infinity && chance() < 0.9) rig.due();
  }
  assert.deepEqual(
    got,
    kept.map((frame) => (frame as { position: number }).position),
  );
}

/** Sends to the open connection the frames that it lacks, and may cut it anywhere. */
function serve(
  rig: Rig,
  kept: Frame[],
  head: number,
  chance: () => number,
  say: (frame: Frame) => void,
): void {
  const { opened } = rig;
  const asked = JSON.parse(rig.bodies.at(-1) as string).groups[0].position ?? 0;
  say({ type: 'ready', heartbeat: 25, positions: [asked] });
  for (const frame of kept) {
    if ((frame as { position: number }).position <= asked) continue;
    say(chance() < 0.1 ? { type: '(cut)' } : frame);
    if (rig.opened !== opened) return;
  }
  if (chance() < 0.5) say({ type: 'heartbeat', position: head });
  if (chance() < 0.5) say({ type: pick(chance, ['(cut)', '(whole)']) });
}

describe('any order of events', () => {
  test(`${ROUNDS} lives of ${STEPS} steps keep every promise`, () => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      try {
        live(seed);
      } catch (failure) {
        throw new Error(`seed ${seed}`, { cause: failure });
      }
    }
  });

  for (const transport of ALL) {
    test(`each push comes once and in order: ${transport}`, () => {
      for (let seed = 1; seed <= 5; seed++) resume(seed, transport);
    });
  }

  test('the delays of 1,000 listeners spread evenly', () => {
    const chance = seeded(7);
    const tenths = new Array<number>(10).fill(0);
    for (let i = 0; i < 1_000; i++) {
      const rig = new Rig().do('start').ready().later(6_000);
      rig.chance = chance();
      rig.cut();
      const tenth = Math.floor((rig.deadline - rig.now) / 100);
      tenths[tenth] = (tenths[tenth] as number) + 1;
    }
    for (const many of tenths) assert.ok(many > 60 && many < 140, `${tenths}`);
  });
});
