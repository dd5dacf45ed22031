/**
 * Prints the size table of DEVELOPING.md: the built files, and the browser builds in the npm packages of
 * other clients, compressed by gzip -9. `--write` puts it there.
 *
 * It installs the packages named here from the registry, into a folder that is removed afterwards.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { STATIC, VERSION } from './build.mjs';
import { gzipped } from './gzip.mjs';
import { table } from './table.mjs';

const OURS = ['cometify.min.js', 'cometify.share.min.js', 'cometify.mjs'];

/** The file that a page would load. Only nchan publishes no minified file. */
const PEERS = [
  ['nchan', '1.0.10', 'NchanSubscriber.js', 'not minified'],
  ['socket.io-client', '4.8.4', 'dist/socket.io.min.js'],
  ['pusher-js', '8.6.0', 'dist/web/pusher.min.js'],
  ['centrifuge', '5.8.0', 'dist/centrifuge.js'],
];

function row(what, file, path) {
  const bytes = readFileSync(path);
  return [what, file, bytes.length.toLocaleString('en'), gzipped(bytes).toLocaleString('en')];
}

const folder = mkdtempSync(join(tmpdir(), 'cometify-peers-'));
try {
  const packages = PEERS.map(([name, version]) => `${name}@${version}`);
  execFileSync('npm', [
    'install',
    '--prefix',
    folder,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--silent',
    ...packages,
  ]);
  const made = table(
    ['', 'File', 'Bytes', 'gzip -9'],
    [
      ...OURS.map((name) => row(`Cometify ${VERSION}`, `\`${name}\``, STATIC + name)),
      ...PEERS.map(([name, version, file, note]) =>
        row(
          `${name} ${version}`,
          `\`${file}\`${note ? `, ${note}` : ''}`,
          join(folder, 'node_modules', name, file),
        ),
      ),
    ],
  );
  process.stdout.write(`${made}\n`);
  if (process.argv.includes('--write')) {
    const path = fileURLToPath(new URL('../DEVELOPING.md', import.meta.url));
    const text = readFileSync(path, 'utf8');
    const between = /(<!-- sizes -->\n\n)[\s\S]*?(\n\n<!-- end of sizes -->)/;
    writeFileSync(
      path,
      text.replace(between, (_, before, after) => before + made + after),
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
