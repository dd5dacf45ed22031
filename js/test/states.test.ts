/** The rule between the states, which is data. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasEnded, type State, type StateEvent, TRANSITIONS, transition } from '../src/states';

const STATES = Object.keys(TRANSITIONS) as State[];

/** The states that some sequence of events leads to. */
function reachableFrom(state: State, seen = new Set<State>()): Set<State> {
  if (!seen.has(state)) {
    seen.add(state);
    for (const next of Object.values(TRANSITIONS[state])) reachableFrom(next, seen);
  }
  return seen;
}

describe('states', () => {
  test('every state can be reached from idle', () => {
    assert.deepEqual([...reachableFrom('idle')].sort(), [...STATES].sort());
  });

  test('only the page leads out of failed, and nothing out of stopped', () => {
    assert.deepEqual(TRANSITIONS.failed, { connect: 'connecting', empty: 'idle', stop: 'stopped' });
    assert.deepEqual(TRANSITIONS.stopped, {});
    assert.deepEqual(STATES.filter(hasEnded), ['stopped', 'failed']);
  });

  test('a listener is connected only after it was connecting', () => {
    const before = STATES.filter((state) =>
      Object.values(TRANSITIONS[state]).includes('connected'),
    );
    assert.deepEqual(before, ['connecting']);
  });

  test('a transition leads to the state that the table says', () => {
    const events: StateEvent[] = ['connect', 'accept', 'pause', 'connect', 'refuse', 'stop'];
    const states: (State | undefined)[] = ['idle'];
    for (const event of events) states.push(transition(states.at(-1) as State, event));
    assert.equal(`${states}`, 'idle,connecting,connected,waiting,connecting,failed,stopped');
  });

  test('an impossible transition throws in the tests', () => {
    assert.throws(() => transition('idle', 'accept'), /^Error: Cometify bug: accept when idle$/);
  });
});
