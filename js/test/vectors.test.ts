/** The vectors that the server's tests read as well, so that both sides agree on the same bytes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ofAnswer, ofClose, ofLine } from '../src/frames';
import { lineReader } from '../src/lines';
import { readGroup } from '../src/options';

/** The path is relative to the folder that the tests run in. */
function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(`../protocol/vectors/${name}.json`, 'utf8'));
}

interface Code {
  name: string;
  status: number;
  close: number;
  retry: number | null;
}

const callback = (): void => {};

describe('identifiers', () => {
  // The client does not know the rule of its account, so it goes by the wider one.
  const { valid, extended } = vectors<{
    valid: string[];
    extended: { valid: string[]; invalid: string[] };
  }>('identifiers');

  for (const name of new Set([...valid, ...extended.valid])) {
    test(`${JSON.stringify(name)} is accepted in each form`, () => {
      for (const given of [name, [name], { [name]: 1 }]) {
        const { spelling } = readGroup(given, { callback });
        assert.deepEqual([...spelling], [[name.toLowerCase(), name]]);
      }
    });
  }

  for (const name of extended.invalid) {
    test(`${JSON.stringify(name)} is refused in each form`, () => {
      for (const given of [name, [name], { [name]: 1 }]) {
        assert.throws(() => readGroup(given, { callback }), TypeError);
      }
    });
  }
});

describe('frames', () => {
  const { frames } = vectors<{ frames: { type: string; json: string }[] }>('frames');

  for (const { type, json } of frames) {
    test(`${json.slice(0, 90)}`, () => {
      const frame = ofLine(json);
      assert.equal(frame.type, type);
      assert.deepEqual(frame, JSON.parse(json));
      const lines = lineReader();
      const bytes = new TextEncoder().encode(`${json}\n`);
      const got = Array.from(bytes, (byte) => lines(Uint8Array.of(byte))).flat();
      assert.deepEqual(got, [json]);
    });
  }
});

describe('codes', () => {
  for (const { name, status, close, retry } of vectors<Code[]>('codes')) {
    test(`${name}: status, close code and frame agree`, () => {
      const headers: Record<string, string> = { 'Content-Type': 'application/problem+json' };
      if (retry !== null) headers['Retry-After'] = `${retry}`;
      const answer = ofAnswer(
        new Response(null, { status, headers }),
        JSON.stringify({ status, code: name, detail: 'Why.' }),
      );
      assert.deepEqual(answer, { type: 'error', code: name, detail: 'Why.', retry });
      const closed = ofClose(close, 'Why.');
      if (close >= 4200) assert.deepEqual(closed, { type: 'reconnect', after: 0 });
      else {
        const expected = { type: 'error', code: `${close}`, detail: 'Why.' };
        assert.deepEqual(closed, { ...expected, retry: retry === null ? null : 0 });
      }
    });
  }
});
