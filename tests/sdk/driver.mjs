// Call the Node library as tests say: a line of JSON in, a line of JSON out. Argument: the file.
// ["new", url, options] makes an object and tells its number, [number, method, arguments] calls it, ["forget"] drops all of them.
import { createInterface } from 'node:readline';
import { inspect } from 'node:util';

const { Cometify, CometifyError, MaybePushed, signature } = await import(process.argv[2]);
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

function call(cometify, { identifier, content, identifiers, seconds, pushes, ...rest }, method) {
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

const made = [];
function make(url, options) {
  const cometify = Cometify.fromUrl(url || undefined, options);
  const number = made.push(cometify) - 1;
  const shown = inspect(cometify, { showHidden: true, depth: 9 });
  return { number, made: cometify.server, key: cometify.apiKey, shown };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [whom, method, given] = JSON.parse(line);
  try {
    if (whom === 'forget') say({ result: made.splice(0).length });
    else if (whom === 'new') say(make(method, given));
    else say({ result: await call(made[whom], given, method) });
  } catch (error) {
    say(told(error));
  }
}
