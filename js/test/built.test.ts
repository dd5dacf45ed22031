/** The built script, run as a page runs it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { parse } from 'acorn';

/** The test run has built it, in the folder that it runs in. */
const script = readFileSync('build/cometify.min.js', 'utf8');

/** A page whose network only notes the addresses. */
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
  test('the original page connects, with one global only', async () => {
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

  test('an inline script must be told the server', () => {
    const { run } = page(null);
    const init = "Cometify.init({apiKey: 1, identifiers: 'chat', callback: 'f'})";
    assert.throws(() => run(init), /Cometify needs server/);
  });

  test('the module has the same init, and needs a server', async () => {
    const { init } = await import(`${process.cwd()}/build/cometify.mjs`);
    assert.throws(() => init({ apiKey: 1, identifiers: 'chat', callback() {} }), /needs server/);
    const server = 'https://push.example.org';
    assert.equal(
      typeof init({ apiKey: 1, identifiers: 'a', callback() {}, server }).start,
      'function',
    );
  });

  test('each file has a source map with its sources', () => {
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
    test(`${name} has no eval and is ES2018`, () => {
      const text = readFileSync(`build/${name}`, 'utf8');
      parse(text, { ecmaVersion: 2018, sourceType: name.endsWith('.mjs') ? 'module' : 'script' });
      assert.doesNotMatch(text, /\beval\b|\bFunction\(|innerHTML|unload|cookie/);
    });
  }
});
