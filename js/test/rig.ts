/**
 * A machine with its time in the test's hands. `rig.did` holds what the last input brought about, as
 * short words, so that a table of expectations can be read.
 */
import assert from 'node:assert/strict';
import type { Frame } from '../src/frames';
import type { Group } from '../src/group';
import { createMachine, type Effect, type Input, type Machine } from '../src/machine';
import { readOptions } from '../src/options';
import type { Transport } from '../src/transport';

export function groupOf(identifiers: string | string[] | Record<string, number>): Group {
  return readOptions({ apiKey: 1, identifiers, callback() {} }, 'http://127.0.0.1').group;
}

export function word(effect: Effect): string {
  switch (effect.type) {
    case 'open':
      return `open ${effect.transport}`;
    case 'state':
      return effect.after === null ? effect.state : `${effect.state} ${effect.after}`;
    case 'push':
      return `push ${effect.push.text}`;
    case 'gap':
      return `gap ${effect.identifiers}`;
    case 'error':
      return `${effect.fatal ? 'fatal' : 'error'} ${effect.code}`;
    case 'warning':
      return `warning ${effect.detail}`;
    default:
      return effect.type;
  }
}

export class Rig {
  readonly machine: Machine;
  now = 1_000_000;
  chance = 0.5;
  generation = 0;
  effects: Effect[] = [];
  bodies: string[] = [];

  constructor(
    readonly groups: Group[] = [groupOf('chat')],
    transports: Transport[] = ['websocket', 'stream', 'poll'],
  ) {
    this.machine = createMachine('9f2c51d07ab34e18', groups, transports);
  }

  get did(): string {
    return this.effects.map(word).join(', ');
  }

  get position(): number | undefined {
    return this.groups[0]?.position;
  }

  feed(input: Input): this {
    this.effects = this.machine.step(input, this.now, this.chance);
    for (const effect of this.effects) {
      if (effect.type !== 'open') continue;
      this.generation = effect.generation;
      this.bodies.push(effect.body);
    }
    return this;
  }

  do(type: 'start' | 'stop' | 'tick' | 'hide'): this {
    return this.feed({ type });
  }

  wake(network = false): this {
    return this.feed({ type: 'wake', network });
  }

  hear(frame: Frame, generation = this.generation): this {
    return this.feed({ type: 'frame', generation, frame });
  }

  ready(position = 100, more: object = {}): this {
    return this.hear({ type: 'ready', heartbeat: 25, positions: [position], ...more });
  }

  push(position: number, identifier = 'chat'): this {
    return this.hear({
      type: 'push',
      identifier,
      push_id: null,
      text: `${identifier}@${position}`,
      position,
    });
  }

  heartbeat(position: number): this {
    return this.hear({ type: 'heartbeat', position });
  }

  cut(): this {
    return this.hear({ type: '(cut)' });
  }

  whole(): this {
    return this.hear({ type: '(whole)' });
  }

  later(milliseconds: number): this {
    this.now += milliseconds;
    return this;
  }

  /** Time passes until the deadline, and the timer says so. */
  due(): this {
    assert.notEqual(this.machine.deadline, Infinity, 'there is no deadline');
    this.now = Math.max(this.now, this.machine.deadline);
    return this.do('tick');
  }
}
