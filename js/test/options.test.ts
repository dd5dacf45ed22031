import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Options, readOptions } from '../src/options';

const HOME = 'https://push.example.org';
const RIGHT: Options = { apiKey: 37282591, identifiers: 'chat', callback: 'onPush' };

function read(options: object, home: string | undefined = HOME) {
  return readOptions({ ...RIGHT, ...options } as Options, home);
}

describe('the forms of the options', () => {
  test('identifiers: a string, an array, a map', () => {
    const identifiers = (given: unknown): unknown => read({ identifiers: given }).group.identifiers;
    assert.deepEqual(identifiers('Chat'), ['Chat']);
    assert.deepEqual(identifiers(['b', 'A_1']), ['b', 'A_1']);
    assert.deepEqual(
      JSON.stringify(identifiers({ tweets: 100, Metrics: '59', big: '9223372036854775807' })),
      '{"tweets":100,"Metrics":"59","big":"9223372036854775807"}',
    );
    const longest = `a.-${'_'.repeat(97)}`;
    assert.deepEqual(identifiers(longest), [longest]);
    assert.deepEqual(identifiers({ constructor: 0 }), { constructor: 0 });
  });

  test('identifiers: none yet', () => {
    for (const none of [[], {}]) assert.equal(read({ identifiers: none }).group.spelling.size, 0);
  });

  test("the page's spelling is kept", () => {
    const { spelling } = read({ identifiers: ['GuestBook', 'chat'] }).group;
    assert.deepEqual(Array.from(spelling), [
      ['guestbook', 'GuestBook'],
      ['chat', 'chat'],
    ]);
  });

  test("the address is the script's origin or the server option", () => {
    assert.equal(read({}).url, 'https://push.example.org/37282591/');
    assert.equal(read({ apiKey: '007_-x' }).url, 'https://push.example.org/007_-x/');
    assert.equal(
      read({ server: 'http://127.0.0.1:8081//' }).url,
      'http://127.0.0.1:8081/37282591/',
    );
  });

  test('an empty or null secureKey counts as none', () => {
    for (const secureKey of ['', null, undefined]) {
      assert.equal(read({ secureKey }).group.secureKey, undefined);
    }
  });
});

/** Wrong options, each with the name that the TypeError must contain. */
const WRONG: [option: string, given: object][] = [
  ...['', 'a b', 'ü', 'x'.repeat(65), 2 ** 53, 1.5, NaN, null, undefined, true, {}, [1]].map(
    (apiKey): [string, object] => ['apiKey', { apiKey }],
  ),
  ...[
    undefined,
    null,
    '',
    true,
    5,
    'a b',
    'chat\n',
    '1a',
    '_a',
    '-a',
    'a:1',
    'a,b',
    'é',
    '\u212a',
    [null],
    ['chat', null],
  ].map((identifiers): [string, object] => ['identifiers', { identifiers }]),
  ['identifiers', { identifiers: ['chat', 'Chat'] }],
  ['identifiers', { identifiers: [`a${'_'.repeat(100)}`] }],
  ['identifiers', { identifiers: Array.from({ length: 101 }, (_, i) => `a${i}`) }],
  ...[-1, 1.5, 2 ** 53, NaN, null, 'x', '', '-1', true, [], '1'.repeat(20)].map(
    (id): [string, object] => ['identifiers', { identifiers: { chat: id } }],
  ),
  ...[undefined, null, '', 'alert(1)', 'a b', 5, {}].map((callback): [string, object] => [
    'callback',
    { callback },
  ]),
  ...[5, {}, true].map((secureKey): [string, object] => ['secureKey', { secureKey }]),
  ...['', 'push.example.org', '//push.example.org', 'ftp://x', 'https://', 'https:///x'].map(
    (server): [string, object] => ['server', { server }],
  ),
  ['transports', { transports: [] }],
  ['transports', { transports: ['sse'] }],
  ['transports', { transports: 'poll' }],
  ['transports', { transports: null }],
];

describe('an identifier that is wrong', () => {
  const WRONG_CHARACTERS: [identifiers: unknown, fault: string][] = [
    ['guest book', "'guest book' because of ' '"],
    ['1st', "'1st' because of '1'"],
    [['chat', 'caf\u00e9s'], "'caf\u00e9s' because of '\u00e9'"],
    [{ 'a:b': 1 }, "'a:b': 1 because of ':'"],
    [['chat', 'Chat'], "'Chat'"],
    [{ chat: -1 }, "'chat': -1"],
  ];
  for (const [identifiers, fault] of WRONG_CHARACTERS) {
    test(`is told with its character: ${JSON.stringify(identifiers)}`, () => {
      assert.throws(
        () => read({ identifiers }),
        ({ message }) => message.endsWith(`, not ${fault}`),
      );
    });
  }
});

describe('without a WebSocket', () => {
  const { WebSocket } = globalThis;
  before(() => Reflect.deleteProperty(globalThis, 'WebSocket'));
  after(() => Object.assign(globalThis, { WebSocket }));

  test('the WebSocket alone is a TypeError that says what to do', () => {
    assert.throws(
      () => read({ transports: ['websocket'] }),
      /^TypeError: Cometify needs transports: add 'stream', because there is no WebSocket here/,
    );
  });

  test('other transports are enough', () => {
    assert.deepEqual(read({}).ways, ['websocket', 'stream', 'poll']);
    assert.deepEqual(read({ transports: ['poll'] }).ways, ['poll']);
  });
});

describe('a wrong option is a TypeError that names it', () => {
  for (const [option, given] of WRONG) {
    test(`${option}: ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => read(given),
        ({ name, message }) =>
          name === 'TypeError' && message.startsWith(`Cometify needs ${option}`),
      );
    });
  }

  test('options are missing', () => {
    assert.throws(() => readOptions(undefined as unknown as Options, HOME), /needs apiKey/);
  });

  test('no server is known', () => {
    assert.throws(() => readOptions(RIGHT, undefined), /needs server/);
  });
});
