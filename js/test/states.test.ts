/** The rule between the states, which is data. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createLifecycle,
  hasEnded,
  logToConsole,
  type State,
  type StateEvent,
  TRANSITIONS,
} from '../src/states';

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

  test('transition changes the state as the table says', () => {
    const lifecycle = createLifecycle();
    const events: StateEvent[] = ['connect', 'accept', 'pause', 'connect', 'refuse', 'stop'];
    const states = events.map((event) => lifecycle.transition(event) && lifecycle.state);
    assert.deepEqual(states, [
      'connecting',
      'connected',
      'waiting',
      'connecting',
      'failed',
      'stopped',
    ]);
  });

  test('an impossible transition throws in the tests', () => {
    const lifecycle = createLifecycle();
    assert.throws(() => lifecycle.transition('accept'), /^Error: Cometify: bug: accept when idle$/);
    assert.equal(lifecycle.state, 'idle');
  });

  test('an impossible transition is logged on a page', (context) => {
    const { error } = console;
    context.after(() => Object.assign(console, { error }));
    const written: string[] = [];
    console.error = (text: string) => written.push(text);
    const lifecycle = createLifecycle(logToConsole);
    assert.equal(lifecycle.transition('accept'), false);
    assert.equal(lifecycle.state, 'idle');
    assert.match(`${written}`, /^Cometify: bug: accept when idle$/);
  });
});
