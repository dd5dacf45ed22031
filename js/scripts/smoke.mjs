/**
 * Listens with the built module against a running server, and pushes to itself:
 * `smoke.mjs SERVER API_KEY API_SECRET`. For any runtime that has modules: Node, Bun, Deno, browsers' workers.
 *
 * On each transport it must hear a push, then one that was made while it was away, and then be stopped. The
 * process must end by itself. Node 20 has no WebSocket.
 */
import process from 'node:process';
import { connect } from '../../cometify/static/cometify.mjs';

const [server, apiKey, secret] = process.argv.slice(2);

/** No answer takes longer than this many milliseconds. */
const PATIENCE = 10_000;

async function push(identifier, text) {
  const answer = await fetch(`${server}/${apiKey}/push/${identifier}`, {
    method: 'POST',
    body: new URLSearchParams({ text, secret: '0' }),
    headers: { Authorization: `Bearer ${secret}` },
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Starts to listen, and has `text` pushed when it is connected. Returns the position after it. */
async function hears(transport, identifier, text, since) {
  const connection = connect({ apiKey, server, transports: [transport] });
  const subscription = connection.subscribe(identifier, { since });
  const heard = new Promise((resolve, reject) => {
    subscription.on('push', ({ data }) => (data === text ? resolve() : reject(new Error(data))));
    subscription.on('error', ({ code, detail }) => reject(new Error(`${code}: ${detail}`)));
  });
  const connected = new Promise((resolve) => {
    connection.on('state', ({ state }) => state === 'connected' && resolve());
  });
  await within(connected, `${transport}: connected`);
  if (since === undefined) await push(identifier, text);
  await within(heard, `${transport}: ${text}`);
  const { position } = subscription;
  connection.stop();
  return position;
}

for (const transport of ['websocket', 'stream', 'poll'].slice(globalThis.WebSocket ? 0 : 1)) {
  const identifier = `smoke_${transport}_${Date.now()}`;
  const position = await hears(transport, identifier, 'first');
  await push(identifier, 'while it was away');
  await hears(transport, identifier, 'while it was away', position);
  process.stdout.write(`${transport}: heard\n`);
}
