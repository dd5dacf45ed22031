/** Hints in the console for names that do nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, init } from '../src/index';
import { said, server, stopAfter } from './server-each';
import { until } from './world';

const RIGHT = { apiKey: 1, identifiers: 'chat', callback: 'onPush' };

function starting(options: object): void {
  stopAfter(init({ ...RIGHT, server: server.url, ...options } as never).start());
}

const MISSPELLED: [wrong: string, right: string][] = [
  ['identifier', 'identifiers'],
  ['apikey', 'apiKey'],
  ['api_key', 'apiKey'],
  ['securekey', 'secureKey'],
  ['secretKey', 'secureKey'],
  ['transport', 'transports'],
  ['shared', 'share'],
  ['sinceId', 'since'],
  ['onPush', 'apiKey,identifiers,server,transports,share,secureKey,token,callback,since'],
];

describe('an unknown option', () => {
  for (const [wrong, right] of MISSPELLED) {
    test(`${wrong} is told once, with the nearest one`, () => {
      starting({ [wrong]: 'x' });
      assert.deepEqual(said, [`Cometify: there is no '${wrong}'. Use ${right}`]);
    });
  }

  test('connect tells it too', () => {
    stopAfter(connect({ apiKey: 1, server: server.url, tokens: 'x' } as never));
    assert.deepEqual(said, ["Cometify: there is no 'tokens'. Use token"]);
  });

  test('a subscription has fewer options', () => {
    const connection = stopAfter(connect({ apiKey: 1, server: server.url }));
    connection.subscribe('chat', { token: null, secureKey: '', since: null, callback() {} });
    assert.deepEqual(said, []);
    connection.subscribe('chat', { share: true } as never);
    assert.deepEqual(said, ["Cometify: there is no 'share'. Use secureKey,token,callback,since"]);
  });

  test('no known option is told', () => {
    starting({ secureKey: '', token: null, since: 0, transports: ['poll'], share: false });
    starting({ secureKey: undefined });
    assert.deepEqual(said, []);
  });
});

describe('a misspelled notice', () => {
  for (const [wrong, right] of [
    ['errors', 'error'],
    ['pushes', 'push'],
    ['gaps', 'gap'],
    ['states', 'state'],
  ]) {
    test(`${wrong} is told, with the nearest one, and is heard as an event`, async () => {
      const heard: string[] = [];
      const connection = stopAfter(connect({ apiKey: 1, server: server.url, identifiers: 'chat' }));
      connection.on(wrong as string, ({ data }) => heard.push(data));
      assert.deepEqual(said, [`Cometify: there is no '${wrong}'. Use ${right}`]);
      await until(() => connection.state === 'connected', 'connected');
      server.pushData('chat', 'hi', wrong);
      await until(() => heard.length, 'the push');
    });
  }

  test('an event is not told', () => {
    const connection = stopAfter(connect({ apiKey: 1, server: server.url }));
    for (const name of ['created', 'message', 'stage', 'pushed', 'statement', 'push', 'gap']) {
      connection.on(name, () => {});
    }
    assert.deepEqual(said, []);
  });
});
