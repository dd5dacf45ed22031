/** Files that are built once for all that need them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const PROGRAM = `
  import { keep, kept } from './scripts/kept.mjs';
  const [, way, text] = process.argv;
  const files = { 'a.js': Buffer.from([...Buffer.from(text), 255]) };
  const bytes = way === 'keep' ? keep('x', files) : await kept('x', async () => files);
  process.stdout.write(bytes['a.js'].toString('latin1'));
`;
let folder = '';

function run(way: string, text: string): string {
  const options = ['--input-type=module', '--eval', PROGRAM, way, text];
  return execFileSync(process.execPath, options, { cwd: join(folder, 'js'), encoding: 'utf8' });
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kept-'));
  for (const name of ['cometify', 'js/src', 'js/scripts']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeFileSync(join(folder, 'cometify/__init__.py'), '1');
  writeFileSync(join(folder, 'js/package-lock.json'), '{}');
  writeFileSync(join(folder, 'js/src/a.ts'), 'one');
  copyFileSync('scripts/kept.mjs', join(folder, 'js/scripts/kept.mjs'));
});

after(() => rmSync(folder, { recursive: true }));

describe('built files that are kept', () => {
  test('are built once for the same sources', () => {
    assert.equal(run('kept', 'first'), 'first\xff');
    assert.equal(run('kept', 'second'), 'first\xff');
  });

  test('are built again after any change, in place of the old ones', () => {
    for (const name of [
      'js/src/a.ts',
      'js/scripts/b.mjs',
      'js/package-lock.json',
      'cometify/__init__.py',
    ]) {
      writeFileSync(join(folder, name), `${name} has changed`);
      assert.equal(run('kept', name), `${name}\xff`);
    }
    assert.equal(readdirSync(join(folder, 'js/node_modules/.cache/cometify')).length, 1);
  });

  test('are those of a build that is made in any case', () => {
    assert.equal(run('keep', 'third'), 'third\xff');
    assert.equal(run('kept', 'fourth'), 'third\xff');
  });
});
