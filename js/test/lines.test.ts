import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lineReader } from '../src/lines';
import { seeded } from './random';

const LINES = ['{"a":"ü"}', '世界', '👋🏽', 'x'.repeat(300), '\u2028 is no end of a line'];
const BYTES = new TextEncoder().encode(`${LINES.join('\n')}\n`);

function read(cuts: number[]): string[] {
  const linesOf = lineReader();
  const got: string[] = [];
  let from = 0;
  for (const to of [...cuts, BYTES.length]) {
    got.push(...linesOf(BYTES.subarray(from, to)));
    from = to;
  }
  return got;
}

describe('lines over any chunking', () => {
  test('a cut anywhere changes no line', () => {
    for (let at = 0; at <= BYTES.length; at++) assert.deepEqual(read([at]), LINES, `at ${at}`);
  });

  test('single bytes change no line', () => {
    assert.deepEqual(read(Array.from(BYTES, (_, i) => i)), LINES);
  });

  test('random cuts change no line', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const chance = seeded(seed);
      const cuts = Array.from({ length: 10 }, () => Math.floor(chance() * BYTES.length));
      assert.deepEqual(read(cuts.sort((a, b) => a - b)), LINES, `seed ${seed}`);
    }
  });

  test('half a line and empty lines are not given out', () => {
    const linesOf = lineReader();
    const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
    assert.deepEqual(linesOf(encode('one\n\n\ntwo\nthr')), ['one', 'two']);
    assert.deepEqual(linesOf(encode('ee')), []);
    assert.deepEqual(linesOf(encode('\n')), ['three']);
  });
});
