/**
 * Builds the console of the operator into the Python package: `js/console` with the client and uPlot, whose
 * licence is put beside it. `build.mjs` writes and verifies the files.
 */
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

/** The bytes of each file, by its name below the folder of the built files. */
export async function buildConsole(root, version) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: { console: 'console/main.ts', style: 'console/console.css' },
    outdir: `${root}/console-build`,
    bundle: true,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    define: { VERSION: JSON.stringify(version), STRICT: 'false', NODE: 'false', EDGE: 'false' },
    minify: true,
    write: false,
  });
  const bytesOf = (name) =>
    Buffer.from(outputFiles.find(({ path }) => path.endsWith(`/${name}`)).contents);
  return {
    'console/console.js': bytesOf('console.js'),
    'console/console.css': bytesOf('style.css'),
    'console/uPlot.LICENSE': readFileSync(`${root}/node_modules/uplot/LICENSE`),
  };
}
