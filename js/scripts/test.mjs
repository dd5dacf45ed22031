/**
 * Runs the tests under Node's own runner. They are TypeScript, so each file is built first, together
 * with its imports, into a folder of its own. The scripts are built as well, because some tests run
 * them.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify as compress } from 'terser';
import { minify as shorten } from 'uglify-js';
import { builtAll, COMPRESSED, SHORTENED, VERSION } from './build.mjs';

/** These run a second time, minified as the scripts are, because a minifier can change what code does. */
const MINIFIED = /^(events|frames|groups|lines|machine|options|property|since|vectors)\./;

/** In milliseconds for one file, because a timer that a test forgot would keep it from ending. */
const HANGS = '--test-timeout=300000';

const root = fileURLToPath(new URL('..', import.meta.url));
const names = readdirSync(`${root}/test`).filter((name) => name.endsWith('.test.ts'));

rmSync(`${root}/build`, { recursive: true, force: true });
mkdirSync(`${root}/build`);
for (const [name, bytes] of Object.entries(await builtAll())) {
  writeFileSync(`${root}/build/${name}`, bytes);
}
await build({
  absWorkingDir: root,
  entryPoints: names.map((name) => `test/${name}`),
  outdir: 'build/test',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  // An impossible transition of the states fails a test, and only logs in a visitor's page.
  define: { VERSION: JSON.stringify(VERSION), STRICT: 'true', NODE: 'true', EDGE: 'true' },
  sourcemap: 'inline',
});
const files = names.map((name) => `build/test/${name.replace(/ts$/, 'mjs')}`);
for (const name of names.filter((name) => MINIFIED.test(name))) {
  const file = `build/test/${name.replace(/ts$/, 'mjs')}`;
  const text = readFileSync(`${root}/${file}`, 'utf8').replace(/\/\/# sourceMappingURL.*/, '');
  const { error, code } = shorten((await compress(text, COMPRESSED)).code, SHORTENED);
  if (error) throw error;
  const minified = file.replace('.test.', '.minified.test.');
  writeFileSync(`${root}/${minified}`, code);
  files.push(minified);
}
const run = spawn(process.execPath, ['--enable-source-maps', '--test', HANGS, ...files], {
  cwd: root,
  stdio: 'inherit',
});
run.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
