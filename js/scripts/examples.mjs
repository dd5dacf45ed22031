/**
 * Builds the examples into a folder, `examples.mjs FOLDER`: each by the command in its `package.json`,
 * with this npm package as it would be published, and with the frameworks that are installed here.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, STATIC } from './build.mjs';
import { buildEntries } from './entries.mjs';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

const [folder] = process.argv.slice(2);
const installed = join(folder, 'node_modules/cometify');
mkdirSync(join(installed, 'dist'), { recursive: true });
cpSync(join(root, 'package.json'), join(installed, 'package.json'));
cpSync(`${STATIC}cometify.mjs`, join(installed, 'dist/cometify.mjs'));
for (const [name, bytes] of Object.entries(await buildEntries())) {
  writeFileSync(join(installed, 'dist', name), bytes);
}

function copy(name, ...files) {
  for (const file of files) cpSync(join(EXAMPLES, name, file), join(folder, name, file));
}

for (const name of ['react', 'vue', 'echo', 'datastar', 'dashboard']) {
  const from = join(EXAMPLES, name);
  const { scripts } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  const [tool, ...options] = scripts.build
    .replace('--outfile=', `--outfile=${join(folder, name)}/`)
    .split(' ');
  execFileSync(join(root, 'node_modules/.bin', tool), [...options, '--log-level=error'], {
    cwd: from,
    env: { ...process.env, NODE_PATH: `${join(folder, 'node_modules')}:${root}/node_modules` },
    stdio: 'inherit',
  });
  copy(name, 'index.html');
}
copy('datastar', 'app.py');
copy('dashboard', 'package.json', 'server.js');
symlinkSync(
  fileURLToPath(new URL('../../sdk/node', import.meta.url)),
  `${folder}/node_modules/cometify-node`,
);
symlinkSync(join(root, 'node_modules/express'), `${folder}/node_modules/express`);
// Nothing of htmx is built.
copy('htmx', 'index.html', 'app.py');
const htmx = 'node_modules/htmx.org/dist';
cpSync(join(root, htmx), join(folder, 'htmx', htmx), { recursive: true });
