/**
 * Builds the entries of the npm package for frameworks: `cometify/react` and the others. The server does
 * not hand them out.
 *
 * Each imports the client beside it, so that a page has the client once, and its framework from the
 * page's own packages.
 */
import { build } from 'esbuild';
import { minify as compress } from 'terser';
import { minify as shorten } from 'uglify-js';
import { COMPRESSED, root, SHORTENED } from './build.mjs';
import { kept } from './kept.mjs';

/** Next.js runs a module with this mark in the browser too, and not on the server alone. */
const IN_BROWSER = "'use client';";

export const ENTRIES = {
  'react.mjs': { entry: 'src/react.ts', banner: IN_BROWSER },
  'vue.mjs': { entry: 'src/vue.ts' },
  'echo.mjs': { entry: 'src/echo.ts' },
};

/** Properties that neither the client, the framework nor the page knows. */
const INNER = /^(component|hearers|isHandled|onPush|spell|subscription|wanted|watch)$/;

const CLIENT = {
  name: 'client',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/index$/ }, () => ({ path: './cometify.mjs', external: true }));
  },
};

async function buildOne(name, { entry, banner = '' }) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `${root}/${name}`,
    bundle: true,
    format: 'esm',
    packages: 'external',
    mangleProps: INNER,
    target: 'es2018',
    charset: 'utf8',
    legalComments: 'none',
    minifySyntax: true,
    plugins: [CLIENT],
    write: false,
  });
  const compressed = await compress(outputFiles[0].text, COMPRESSED);
  const { error, code } = shorten(compressed.code, SHORTENED);
  if (error) throw error;
  return banner + code;
}

/** The bytes of each entry, by its name. */
export function buildEntries() {
  return kept('entries', async () => {
    const files = {};
    for (const [name, entry] of Object.entries(ENTRIES)) {
      files[name] = Buffer.from(await buildOne(name, entry));
    }
    return files;
  });
}
