// Push to every page that listens. Node 18 or newer, nothing to install.
import { createHash } from 'node:crypto';

const host = 'http://localhost:8081';
const apiKey = 'YOUR_API_KEY';
const apiSecret = 'YOUR_API_SECRET';
const identifier = 'chat';
const text = 'Hello from Node';
const secret = 0; // 1: only for listeners with the right secureKey or token

const md5hex = (value) => createHash('md5').update(value).digest('hex');

const answer = await fetch(`${host}/${apiKey}/push/${identifier}`, {
  method: 'POST',
  body: new URLSearchParams({
    identifier,
    text,
    secret,
    secure: md5hex(apiKey + md5hex(apiSecret) + identifier + text),
  }),
  signal: AbortSignal.timeout(10_000),
});

if (answer.ok) {
  console.log(await answer.text());
} else {
  const problem = await answer.json();
  console.error(`Refused (${answer.status}): ${problem.detail}`);
  process.exitCode = 1;
}
