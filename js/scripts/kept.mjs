/**
 * Keeps what was built until a source changes. A build of the scripts takes seconds of processor time, and
 * the checks, the tests and the package need it five times in one run.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = `${root}/node_modules/.cache/cometify`;

/** A hash of everything that the build depends on. */
function sources() {
  const hash = createHash('sha256').update(process.version);
  for (const folder of ['src', 'scripts']) {
    for (const name of readdirSync(root + folder, { recursive: true }).sort()) {
      if (/\.\w+$/.test(name)) hash.update(name).update(readFileSync(`${root}${folder}/${name}`));
    }
  }
  for (const file of ['package-lock.json', '../cometify/__init__.py']) {
    hash.update(readFileSync(root + file));
  }
  return hash.digest('hex').slice(0, 16);
}

/** The bytes of each file, by its name: those of the last build, or of `build` if a source has changed. */
export async function kept(name, build) {
  const path = `${FOLDER}/${name}-${sources()}.json`;
  try {
    const files = Object.entries(JSON.parse(readFileSync(path, 'utf8')));
    return Object.fromEntries(files.map(([file, text]) => [file, Buffer.from(text, 'base64')]));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return keep(name, await build());
}

/** Keeps these files in place of the older ones of the same name, and returns them. */
export function keep(name, files) {
  mkdirSync(FOLDER, { recursive: true });
  for (const old of readdirSync(FOLDER)) {
    if (old.startsWith(`${name}-`) && old.endsWith('.json')) {
      rmSync(`${FOLDER}/${old}`, { force: true });
    }
  }
  const texts = Object.entries(files).map(([file, bytes]) => [file, bytes.toString('base64')]);
  // In one step, because another process may read it.
  const path = `${FOLDER}/${name}-${sources()}.json`;
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(Object.fromEntries(texts)));
  renameSync(`${path}.${process.pid}`, path);
  return files;
}
