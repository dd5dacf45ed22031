/** The script as it is handed out, run as a page runs it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { parse } from 'acorn';

/** Where the test run leaves what it built, seen from where it runs. */
const script = readFileSync('build/cometify.min.js', 'utf8');

/** A page whose network only notes who was asked. */
function page(src: string | null): { run(code: string): unknown; asked: string[] } {
  const asked: string[] = [];
  class WebSocket {
    constructor(url: string) {
      asked.push(url);
    }
    close(): void {}
  }
  const world: Record<string, unknown> = {
    document: { currentScript: src && { src } },
    WebSocket,
    crypto,
    setTimeout: () => 0,
    clearTimeout() {},
    addEventListener() {},
    removeEventListener() {},
  };
  world.self = world;
  const context = createContext(world);
  runInContext(script, context);
  world.document = { currentScript: null };
  return { run: (code) => runInContext(code, context), asked };
}

const SRC = 'https://push.example.org/latest/cometify.min.js';

describe('the built script', () => {
  test('the page of the seed, and nothing but one global', async () => {
    const { run, asked } = page(SRC);
    const before = run('Object.keys(self).join()');
    assert.equal(run('typeof Cometify.init'), 'function');
    assert.match(`${before}`, /,self,Cometify$/);
    run(`
      Cometify.init({
        apiKey: 37282591,
        identifiers: ['guestbook', 'comments', 'oneliner'],
        secureKey: '5b70b14ea396f689a1b9550ba66025bc',
        callback: 'cometifyCallback'
      }).start();
      function cometifyCallback(data, id, identifier) {}
    `);
    await new Promise(setImmediate);
    assert.deepEqual(asked, ['wss://push.example.org/37282591/websocket']);
  });

  test('a script that was written into the page must be told the server', () => {
    const { run } = page(null);
    const init = "Cometify.init({apiKey: 1, identifiers: 'chat', callback: 'f'})";
    assert.throws(() => run(init), /Cometify needs server/);
  });

  test('the module has the same init, and no page to ask for a server', async () => {
    const { init } = await import(`${process.cwd()}/build/cometify.mjs`);
    assert.throws(() => init({ apiKey: 1, identifiers: 'chat', callback() {} }), /needs server/);
    const server = 'https://push.example.org';
    assert.equal(
      typeof init({ apiKey: 1, identifiers: 'a', callback() {}, server }).start,
      'function',
    );
  });

  test('each file has its map, with the sources in it', () => {
    for (const name of ['cometify.min.js', 'cometify.share.min.js', 'cometify.mjs']) {
      const map = JSON.parse(readFileSync(`build/${name}.map`, 'utf8'));
      assert.equal(map.version, 3);
      assert.ok(
        map.sources.some((source: string) => /src\/\w+\.ts$/.test(source)),
        `${map.sources}`,
      );
      assert.ok(map.sourcesContent.every(Boolean));
    }
  });

  for (const name of ['cometify.min.js', 'cometify.share.min.js', 'cometify.mjs']) {
    test(`${name} holds no eval, and nothing newer than ES2018`, () => {
      const text = readFileSync(`build/${name}`, 'utf8');
      parse(text, { ecmaVersion: 2018, sourceType: name.endsWith('.mjs') ? 'module' : 'script' });
      assert.doesNotMatch(text, /\beval\b|\bFunction\(|innerHTML|unload|cookie/);
    });
  }
});
