// Receive webhooks. Node 18 or newer, nothing to install.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const apiSecrets = ['YOUR_API_SECRET']; // both, while one is being replaced
let lastId = 0; // keep this number in your database, and change it together with what the events change

function isGenuine(url, headers, body) {
  const timestamp = headers['cometify-timestamp'] ?? '';
  const signed = [
    'v2',
    'POST',
    url.split('?')[0],
    timestamp,
    headers['cometify-nonce'] ?? '',
    headers['content-type'] ?? '',
    headers['idempotency-key'] ?? '',
    createHash('sha256').update(body).digest('hex'),
  ].join('\n');
  const given = Buffer.from(headers['cometify-signature'] ?? '', 'hex');
  const isSigned = apiSecrets
    .map((one) => createHmac('sha256', one).update(signed).digest())
    .map((expected) => given.length === expected.length && timingSafeEqual(expected, given))
    .includes(true);
  return isSigned && Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300;
}

function handle(event) {
  console.log(JSON.stringify(event)); // your work
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  const genuine = isGenuine(request.url, request.headers, body);
  if (genuine) {
    for (const event of JSON.parse(body)) {
      if (event.id > lastId) { // otherwise it has come before
        handle(event);
        lastId = event.id;
      }
    }
  }
  response.writeHead(genuine ? 204 : 403).end();
}).listen(8000, '127.0.0.1');
