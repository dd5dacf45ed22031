// Push to every page that listens, signed with HMAC. Node 18 or newer, nothing to install.
import { createHash, createHmac, randomUUID } from 'node:crypto';

const host = 'http://localhost:8081';
const apiKey = 'YOUR_API_KEY';
const apiSecret = 'YOUR_API_SECRET';
const identifier = 'chat';
const text = 'Signed in Node';
const secret = 0; // 1: only for listeners with the right secureKey or token

const path = `/${apiKey}/push/${identifier}`;
const body = JSON.stringify({ text, secret });
const contentType = 'application/json';
const idempotencyKey = randomUUID(); // keep it to send the same push again
const timestamp = String(Math.floor(Date.now() / 1000));
const nonce = randomUUID();
const sha256hex = createHash('sha256').update(body).digest('hex');
const signed = ['v2', 'POST', path, timestamp, nonce, contentType, idempotencyKey, sha256hex].join('\n');

const answer = await fetch(host + path, {
  method: 'POST',
  headers: {
    'Content-Type': contentType,
    'Idempotency-Key': idempotencyKey,
    'Cometify-Timestamp': timestamp,
    'Cometify-Nonce': nonce,
    'Cometify-Signature': createHmac('sha256', apiSecret).update(signed).digest('hex'),
  },
  body,
  signal: AbortSignal.timeout(10_000),
});

if (answer.ok) {
  console.log(await answer.text());
} else {
  const problem = await answer.json();
  console.error(`Refused (${answer.status}): ${problem.detail}`);
  process.exitCode = 1;
}
