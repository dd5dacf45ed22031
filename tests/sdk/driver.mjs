// Call the Node library as tests say: a line of JSON in, a line of JSON out. Arguments: the file, the URL, the options.
import { createInterface } from 'node:readline';
import { inspect } from 'node:util';

const [file, url, options] = process.argv.slice(2);
const { Cometify, CometifyError, MaybePushed, signature } = await import(file);
process.on('warning', (warning) => process.exitCode = 1 && console.error(warning));
const say = (value) => console.log(JSON.stringify(value));

function told(error) {
  if (!(error instanceof CometifyError)) throw error;
  const { code, detail, status, idempotencyKey, retryAfter } = error;
  const maybePushed = error instanceof MaybePushed;
  return { error: { code, detail, status, idempotencyKey, retryAfter, maybePushed, shown: inspect(error) } };
}

async function gathered(list) {
  const all = [];
  for await (const one of list) all.push(one);
  return all;
}

function call({ identifier, content, identifiers, seconds, pushes, ...rest }, method) {
  if (method === 'signature') return signature(rest);
  if (method === 'push') return cometify.push(identifier, content, rest);
  if (method === 'batch') return cometify.batch(pushes, rest);
  if (method === 'token') return cometify.token(identifiers, seconds, rest);
  if (method === 'accountToken') return cometify.accountToken(seconds);
  if (method === 'identifiers') return gathered(cometify.identifiers(rest));
  if (method === 'identifier') return cometify.identifier(identifier);
  if (method === 'pushes') return cometify.pushes(identifier, rest);
  if (method === 'secureKey') return cometify.secureKey(identifiers);
  return cometify[method](rest);
}

let cometify;
try {
  cometify = Cometify.fromUrl(url || undefined, JSON.parse(options));
} catch (error) {
  say(told(error));
}
if (cometify) {
  say({ made: cometify.server, key: cometify.apiKey, shown: inspect(cometify, { showHidden: true, depth: 9 }) });
  for await (const line of createInterface({ input: process.stdin })) {
    const [method, given] = JSON.parse(line);
    try {
      say({ result: await call(given, method) });
    } catch (error) {
      say(told(error));
    }
  }
}
