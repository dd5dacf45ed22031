/** The size gate: what a visitor downloads, as gzip -9 leaves it. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { BUILT } from './build.mjs';

const LIMIT = 4_500;
const bytes = readFileSync(BUILT);
const gzipped = gzipSync(bytes, { level: 9 }).length;
process.stdout.write(`cometify.min.js: ${bytes.length} bytes, ${gzipped} gzipped of ${LIMIT}\n`);
if (gzipped > LIMIT) {
  process.stderr.write('That is over the size gate.\n');
  process.exitCode = 1;
}
