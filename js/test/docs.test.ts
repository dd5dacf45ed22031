/** The check of the code in the documents: it finds what a reader could not use, and says where it stands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'cometify-docs-'));
const RIGHT = "```js\nCometify.init({apiKey: 1, identifiers: 'a', callback: show}).start();\n```\n";
const VUE = "```vue\n<script setup>\nimport { usePushes } from 'cometify/vue';\n";
/** A fault in each language, and its place in the page. Two lines come before each block. */
const WRONG: Record<string, [string, number, RegExp]> = {
  option: ["```js\nCometify.connect({apiKey: 1, servers: 'https://a'});\n```", 4, /'servers'/],
  method: ["```js\nconnection\n  .subscribes('a');\n```", 5, /'subscribes'/],
  notice: ["```js\nlistener.on('gap', ({identifier}) => identifier);\n```", 4, /'identifier'/],
  name: ['   ```js\n   const a = 1;\n   nothing(a);\n   ```', 5, /'nothing'/],
  node: ["```js\nawait cometify.push('a', 1, {push_id: 7});\n```", 4, /'push_id'/],
  entry: ["```js\nimport { usePush } from 'cometify/react';\nusePush('a');\n```", 4, /'usePush'/],
  type: [
    "```ts\nconnection.subscribe<{a: number}>('a').on('a', ({data}) => data.trim());\n```",
    4,
    /'trim'/,
  ],
  property: [
    "```jsx\nimport { CometifyProvider } from 'cometify/react';\n<CometifyProvider apikey={1} />;\n```",
    5,
    /'apikey' does not exist/,
  ],
  page: [
    '```html\n<p>\n<script src="a.js"></script>\n<script>\n  Cometify.start();\n</script>\n```',
    7,
    /'start'/,
  ],
  component: [
    `${VUE}usePushes('a', () => {}, { secretKey: 'k' });\n</script>\n\`\`\``,
    6,
    /'secretKey'/,
  ],
  template: [`${VUE}</script>\n<template><p v-if></p></template>\n\`\`\``, 3, /v-if/],
};

function check(...pages: string[]) {
  return spawnSync(process.execPath, ['scripts/docs.mjs', ...pages], { encoding: 'utf8' });
}

function page(name: string, text: string) {
  const path = join(folder, `${name}.md`);
  writeFileSync(path, text);
  return path;
}

describe('the check of the code in the documents', () => {
  let faults: string[] = [];

  before(() => {
    const pages = Object.entries(WRONG).map(([name, [block]]) =>
      page(name, `A page.\n\n${block}\n`),
    );
    const { status, stderr } = check(...pages);
    assert.equal(status, 1);
    faults = stderr.trim().split('\n');
  });

  after(() => rmSync(folder, { recursive: true }));

  for (const [name, [, line, words]] of Object.entries(WRONG)) {
    test(`finds a wrong ${name}`, () => {
      const [fault = ''] = faults.filter((told) => told.includes(`/${name}.md:`));
      assert.match(fault, new RegExp(`/${name}\\.md:${line}: `));
      assert.match(fault, words);
    });
  }

  test('finds code that does not parse', () => {
    const { status, stderr } = check(page('syntax', '```js\nconst a = ;\n```\n'));
    assert.equal(status, 1);
    assert.match(stderr, /\/syntax\.md:2: Expression expected/);
  });

  test('lets blocks pass that are right, and share no names', () => {
    const own = '```js\nconst connection = 1;\n```\n';
    const { status, stderr } = check(page('right', RIGHT + own + own));
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });
});
