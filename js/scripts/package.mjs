/** Puts the files of the npm package into `dist`: the built files and their types. The license is beside it. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { builtAll } from './build.mjs';
import { buildEntries } from './entries.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${root}/dist`, { recursive: true, force: true });
mkdirSync(`${root}/dist`);
const files = { ...(await builtAll()), ...(await buildEntries()) };
for (const [name, bytes] of Object.entries(files)) {
  writeFileSync(`${root}/dist/${name}`, bytes);
}
copyFileSync(`${root}/../LICENSE`, `${root}/LICENSE`);
for (const name of ['cometify', 'react', 'vue', 'echo']) {
  copyFileSync(`${root}/${name}.d.ts`, `${root}/dist/${name}.d.ts`);
}
