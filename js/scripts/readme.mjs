/** Writes the sizes of the entries into the README. `--verify` fails if others are there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { STATIC } from './build.mjs';
import { buildEntries } from './entries.mjs';
import { table } from './table.mjs';

const path = fileURLToPath(new URL('../README.md', import.meta.url));

function row(entry, bytes, note = '') {
  // Rounded, because zlib compresses a little differently on another processor.
  const [all, gzipped] = [bytes, gzipSync(bytes, { level: 9 })].map(
    ({ length }) => `${(length / 1000).toFixed(1)} kB`,
  );
  return [`\`${entry}\``, note, all, gzipped];
}

const rows = [row('cometify', readFileSync(`${STATIC}cometify.mjs`))];
for (const [name, bytes] of Object.entries(await buildEntries())) {
  rows.push(row(`cometify/${name.replace('.mjs', '')}`, bytes, 'on top of that'));
}
const text = readFileSync(path, 'utf8');
const made = text.replace(
  /(<!-- entries -->\n)[\s\S]*?(\n<!-- end of entries -->)/,
  (_, before, after) => `${before}\n${table(['Entry', '', 'Minified', 'gzip -9'], rows)}\n${after}`,
);
if (!process.argv.includes('--verify')) writeFileSync(path, made);
else if (made !== text) {
  process.stderr.write(`${path} has other sizes: run npm run build\n`);
  process.exitCode = 1;
}
