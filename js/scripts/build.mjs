/**
 * Builds the script that the server hands out, into the Python package, so that running a server
 * needs no Node. The same sources give the same bytes; `--verify` says whether they are there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
export const BUILT = fileURLToPath(
  new URL('../../cometify/static/cometify.min.js', import.meta.url),
);

/** The script's bytes. */
export async function buildScript() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['src/browser.ts'],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2018',
    charset: 'utf8',
    legalComments: 'none',
    write: false,
  });
  return Buffer.from(outputFiles[0].contents);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bytes = await buildScript();
  if (!process.argv.includes('--verify')) writeFileSync(BUILT, bytes);
  else if (!bytes.equals(readFileSync(BUILT))) {
    process.stderr.write(`${BUILT} is not what the sources build: run npm run build\n`);
    process.exitCode = 1;
  }
}
