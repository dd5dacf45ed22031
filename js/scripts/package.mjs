/** Puts the files of the npm package into `dist`: the built files and their types. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildAll } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

rmSync(`${root}/dist`, { recursive: true, force: true });
mkdirSync(`${root}/dist`);
for (const [name, bytes] of Object.entries(await buildAll())) {
  writeFileSync(`${root}/dist/${name}`, bytes);
}
copyFileSync(`${root}/cometify.d.ts`, `${root}/dist/cometify.d.ts`);
