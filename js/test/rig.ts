/**
 * A machine whose time the test controls. `rig.did` holds the effects of the last input as short
 * words, so that a table of expectations is readable.
 */
import assert from 'node:assert/strict';
import type { Effect, Input, Machine } from '../src/effects';
import type { Frame } from '../src/frames';
import type { Group } from '../src/group';
import { listenFrame } from '../src/group';
import { createMachine } from '../src/machine';
import { readGroup } from '../src/options';
import type { Way } from '../src/transport';

export function groupOf(identifiers: string | string[] | Record<string, number>): Group {
  return readGroup(identifiers, { callback() {} });
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
    default:
      return effect.type;
  }
}

export class Rig {
  readonly machine: Machine;
  now = 1_000_000;
  chance = 0.5;
  /** The number of connections that were opened. */
  opened = 0;
  effects: Effect[] = [];
  bodies: string[] = [];
  deadline = Infinity;

  constructor(
    readonly groups: Group[] = [groupOf('chat')],
    transports: Way[] = ['websocket', 'stream', 'poll'],
  ) {
    this.machine = createMachine(groups, transports, 'https://push.example.org/1/');
  }

  get did(): string {
    return this.effects
      .filter(({ type }) => type !== 'heard')
      .map(word)
      .join(', ');
  }

  get position(): number | undefined {
    return this.groups[0]?.position;
  }

  feed(input: Input): this {
    [this.effects, this.deadline] = this.machine.step(input, this.now, this.chance);
    for (const effect of this.effects) {
      if (effect.type === 'open') this.open();
      if (effect.type === 'listen') this.say();
    }
    return this;
  }

  /** Opens at once, because there are no tokens to wait for. */
  open(): void {
    this.opened++;
    this.say();
    const frame: Frame = { type: '(opened)' };
    const input: Input = { type: 'heard', frame };
    [, this.deadline] = this.machine.step(input, this.now, this.chance);
  }

  say(): void {
    this.bodies.push(listenFrame('9f2c51d07ab34e18', this.groups));
  }

  do(type: 'start' | 'stop' | 'tick' | 'hide' | 'regroup', rung = 0): this {
    return this.feed(type === 'start' ? { type, rung } : { type });
  }

  wake(network = false): this {
    return this.feed({ type: 'wake', network });
  }

  hear(frame: Frame): this {
    return this.feed({ type: 'heard', frame });
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

  /** Lets time pass until the deadline, and fires the timer. */
  due(): this {
    assert.notEqual(this.deadline, Infinity, 'there is no deadline');
    this.now = Math.max(this.now, this.deadline);
    return this.do('tick');
  }
}
