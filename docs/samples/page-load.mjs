// The rows that a page shows, and a position from which the page misses no change of them. Node 18 or newer, with pg.
import pg from 'pg';

const host = 'http://localhost:8081';
const apiKey = 'YOUR_API_KEY';
const db = new pg.Client('postgresql:///guestbook');

pg.types.setTypeParser(pg.types.builtins.INT8, Number); // a bigint as a number, not as a string

// First the position: a change that is not in the rows below is pushed after it.
const answer = await fetch(`${host}/${apiKey}/position`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
const position = answer?.ok
  ? (await answer.json()).position
  : (Date.now() - 5000) * 1000; // no answer: the clock, less a margin for the difference of two clocks

// Then the rows. A deleted row is among them with its mark, so that the page ignores its older pushes.
await db.connect();
const { rows } = await db.query('SELECT id, version, text, deleted FROM entries ORDER BY id');
await db.end();

console.log(JSON.stringify({ position, rows }));
