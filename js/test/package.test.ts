/** The npm package, as it would be published. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';

const about = JSON.parse(readFileSync('package.json', 'utf8'));
let files: string[] = [];

before(() => {
  // Packing builds the files first.
  const told = execFileSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' });
  const [packed] = JSON.parse(told.slice(told.indexOf('[')));
  files = packed.files.map(({ path }: { path: string }) => path);
});

describe('the npm package', () => {
  test('may be published, and has its license and a README', () => {
    assert.equal(about.private, undefined);
    for (const name of ['LICENSE', 'README.md']) assert.ok(files.includes(name), name);
    assert.equal(readFileSync('LICENSE', 'utf8'), readFileSync('../LICENSE', 'utf8'));
  });

  test('has every file that an entry names', () => {
    const named = JSON.stringify(about.exports).match(/\.\/[\w./-]+\.\w+"(?!:)/g) as string[];
    assert.ok(named.length > 8);
    for (const name of named) assert.ok(files.includes(name.slice(2, -1)), name);
  });

  test('has nothing of the tests and the tools', () => {
    const odd = files.filter(
      (name) => !/^(dist|src)\/|^(LICENSE|README\.md|package\.json)$/.test(name),
    );
    assert.deepEqual(odd, []);
  });

  test('each entry loads outside of a page, with the names of its types', async () => {
    const names = {
      cometify: ['connect', 'init'],
      'cometify/react': ['CometifyProvider', 'useConnectionState', 'usePushes'],
      'cometify/vue': ['provideCometify', 'useConnectionState', 'usePushes'],
      'cometify/echo': ['CometifyConnector'],
    };
    for (const [entry, expected] of Object.entries(names)) {
      assert.deepEqual(Object.keys(await import(entry)).sort(), expected, entry);
    }
  });

  test('the entries import the client, and do not hold it', () => {
    for (const name of ['react', 'vue', 'echo']) {
      const text = readFileSync(`dist/${name}.mjs`, 'utf8');
      assert.match(text, /from"\.\/cometify\.mjs"/);
      assert.doesNotMatch(text, /WebSocket/);
    }
    assert.match(readFileSync('dist/react.mjs', 'utf8'), /^'use client';/);
  });
});
