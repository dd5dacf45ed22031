import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CUT, type Frame, ofAnswer, ofClose, ofLine } from '../src/frames';

const PROBLEM = 'application/problem+json';
const OURS = JSON.stringify({ status: 0, title: 't', code: 'some_code', detail: 'Do this.' });

function answer(status: number, type: string, body: string, retryAfter?: string): Frame {
  const headers: Record<string, string> = { 'Content-Type': type };
  if (retryAfter) headers['Retry-After'] = retryAfter;
  return ofAnswer(new Response(null, { status, headers }), body);
}

function refused(retry: number | null): Frame {
  return { type: 'error', code: 'some_code', detail: 'Do this.', retry };
}

describe('HTTP answers', () => {
  test('a problem of the server is an error', () => {
    for (const status of [400, 403, 404, 405, 413, 415]) {
      assert.deepEqual(answer(status, PROBLEM, OURS), refused(null), `${status}`);
    }
    for (const status of [429, 500, 503]) {
      assert.deepEqual(answer(status, PROBLEM, OURS, '7'), refused(7), `${status}`);
      assert.deepEqual(answer(status, `${PROBLEM}; charset=utf-8`, OURS), refused(0), `${status}`);
    }
  });

  test('an answer of a proxy is a cut, whatever its status', () => {
    for (const status of [400, 403, 404, 405, 429, 502, 503, 504]) {
      const none = { type: '(cut)', after: 0 };
      assert.deepEqual(answer(status, 'text/html', '<h1>No</h1>'), none);
      assert.deepEqual(answer(status, 'application/json', '{"code":"NOT_FOUND"}'), none);
      assert.deepEqual(answer(status, PROBLEM, '{"title":"No"}'), none);
      assert.deepEqual(answer(status, PROBLEM, 'null'), none);
      assert.deepEqual(answer(status, PROBLEM, ''), none);
    }
  });

  test('Retry-After is obeyed, also from a proxy', () => {
    const after = (given: string): unknown =>
      (answer(503, 'text/html', '', given) as { after: number }).after;
    assert.equal(after('120'), 120_000);
    assert.equal(after('Wed, 21 Oct 2026 07:28:00 GMT'), 0);
  });
});

describe('close codes', () => {
  const TABLE: [code: number, frame: Frame][] = [
    [4000, { type: 'error', code: '4000', detail: 'r', retry: null }],
    [4003, { type: 'error', code: '4003', detail: 'r', retry: null }],
    [4100, { type: 'error', code: '4100', detail: 'r', retry: 0 }],
    [4199, { type: 'error', code: '4199', detail: 'r', retry: 0 }],
    [4200, { type: 'reconnect', after: 0 }],
    [4300, CUT],
    [1000, CUT],
    [1001, CUT],
    [1006, CUT],
    [3999, CUT],
  ];
  for (const [code, frame] of TABLE) {
    test(`${code}`, () => assert.deepEqual(ofClose(code, 'r'), frame));
  }
});

describe('lines', () => {
  test('a frame is an object with a type', () => {
    const frame = { type: 'heartbeat', position: 5 };
    assert.deepEqual(ofLine(JSON.stringify(frame)), frame);
  });

  for (const line of ['', '<html>', 'null', '5', '"x"', '[]', '{}', '{"type":"push"']) {
    test(`a line without a frame is a cut: ${line}`, () => assert.equal(ofLine(line), CUT));
  }
});
