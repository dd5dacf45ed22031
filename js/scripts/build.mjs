/**
 * Builds the files that the server hands out, into the Python package, so that running a server needs
 * no Node. The same sources give the same bytes. `--verify` fails if other bytes are there.
 *
 * Names that only the client itself knows are made short. Both scripts must agree on them, because
 * the share module uses the client's insides. That is why it is loaded from the address of a version.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify as compress } from 'terser';
import { minify as shorten } from 'uglify-js';
import { buildConsole } from './console.mjs';
import { keep, kept } from './kept.mjs';
import { LETTERS, mark, rename } from './rename.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));
/** The folder that keeps the built files, and from which the server reads them. */
export const STATIC = fileURLToPath(new URL('../../cometify/static/', import.meta.url));
export const VERSION = /__version__ = "(.+)"/.exec(
  readFileSync(new URL('../../cometify/__init__.py', import.meta.url), 'utf8'),
)[1];

/**
 * Properties that neither the wire, the page nor the browser knows. Each is made short wherever it
 * stands in the client. So none may be here that a DOM object has too, and none that is also looked
 * up by a string, such as the type of an input.
 */
export const INNER = `
  accepted asked attempt chance current deadline effects endAnswer expectFirstFrame failures feed forNow frame
  giveUp group hasBegun heardAt isDue isExhausted isFruitful isGap isPatient isRefused isShared
  isTooLongBelow isUnreachable joined live lose network openedAt postpone prove question relisten renewAt
  rest rung source spelling startAt startOver step succeed time tryNext unanswered ways
`
  .trim()
  .split(/\s+/);

/** The names that `npm run names` has found. A property that is not there gets one that is free. */
export const NAMES = JSON.parse(readFileSync(new URL('names.json', import.meta.url), 'utf8'));

/** The first minifier knows more of the language. It leaves the names and the sequences to the second. */
export const COMPRESSED = {
  ecma: 2018,
  module: true,
  mangle: false,
  compress: {
    passes: 2,
    unsafe: true,
    unsafe_math: true,
    unsafe_arrows: true,
    unsafe_methods: true,
    sequences: false,
    keep_fargs: false,
  },
};

/** The second lets variables share a name, which the first cannot. */
export const SHORTENED = {
  module: true,
  toplevel: true,
  compress: {
    passes: 8,
    keep_fargs: false,
    pure_getters: true,
    hoist_vars: true,
    inline: 1,
    varify: false,
  },
};

/** Node has no `self`, and a browser of 2018 has no `globalThis`. */
const GLOBAL = "const world = typeof self === 'object' ? self : globalThis;";

/**
 * The browser finds the map of a script by a header, because in a script each byte counts. Only the
 * module runs in Node.
 */
export const SCRIPTS = [
  { name: 'cometify.min.js', entry: 'src/browser.ts', format: 'iife' },
  { name: 'cometify.share.min.js', entry: 'src/browser-share.ts', format: 'iife' },
  {
    name: 'cometify.mjs',
    entry: 'src/index.ts',
    format: 'esm',
    url: 'cometify.mjs.map',
    banner: { js: GLOBAL },
    define: { NODE: 'true', EDGE: 'true', self: 'world' },
  },
];

/** The script and its source map. Inner properties have marks instead of names. */
export async function buildMarked({ name, entry, format, url, banner, define }) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `${root}/${name}`,
    bundle: true,
    format,
    target: 'es2018',
    charset: 'utf8',
    legalComments: 'none',
    banner,
    define: {
      VERSION: JSON.stringify(VERSION),
      STRICT: 'false',
      NODE: 'false',
      EDGE: 'false',
      ...define,
    },
    mangleProps: new RegExp(`^(${INNER.join('|')})$`),
    mangleCache: Object.fromEntries(INNER.map((inner, i) => [inner, mark(i)])),
    minifySyntax: true,
    sourcemap: 'external',
    write: false,
  });
  const text = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;
  const compressed = await compress(text('js'), {
    ...COMPRESSED,
    sourceMap: { content: text('.map'), filename: name, includeSources: true },
  });
  const { error, code, map } = shorten(compressed.code, {
    ...SHORTENED,
    sourceMap: { content: compressed.map, filename: name, url, includeSources: true },
  });
  if (error) throw error;
  return { code, map: JSON.parse(map) };
}

/** The short name of each inner property. */
function shortNames() {
  const { properties } = NAMES;
  const taken = new Set(Object.values(properties));
  const free = LETTERS.filter((letter) => !taken.has(letter));
  return INNER.map((inner) => properties[inner] || free.shift());
}

/** Each built file's bytes, by its name. */
export async function buildAll() {
  const files = {};
  const short = shortNames();
  for (const script of SCRIPTS) {
    const { name } = script;
    const { code, map } = await buildMarked(script);
    // The names of variables were searched for the script that nearly every page loads.
    const variables = script === SCRIPTS[0] ? NAMES.variables : {};
    const built = rename(code, map.mappings, (of) => short[of] || variables[of] || of);
    files[name] = Buffer.from(built.code);
    files[`${name}.map`] = Buffer.from(JSON.stringify({ ...map, mappings: built.mappings }));
  }
  return files;
}

/** The same of an earlier build, if no source has changed since. */
export const builtAll = () => kept('scripts', buildAll);

/** The guide, with the hash of each script beside its versioned address. */
function guide(files) {
  const path = fileURLToPath(new URL('../../docs/client.md', import.meta.url));
  const tag = /(src="[^"]*\/)[\d.]+(\/([\w.]+)"\s+integrity=")[^"]*/g;
  const tagged = new Set();
  const text = readFileSync(path, 'utf8').replace(tag, (_, host, rest, name) => {
    tagged.add(name);
    const hash = createHash('sha384').update(files[name]).digest('base64');
    return `${host}${VERSION}${rest}sha384-${hash}`;
  });
  for (const { name, format } of SCRIPTS) {
    if (format === 'iife' && !tagged.has(name))
      throw new Error(`${path} has no tag of ${name} with a hash`);
  }
  return [path, Buffer.from(text)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const verifies = process.argv.includes('--verify');
  const files = { ...keep('scripts', await buildAll()), ...(await buildConsole(root, VERSION)) };
  const all = Object.entries(files).map(([name, bytes]) => [STATIC + name, bytes]);
  for (const [path, bytes] of [...all, guide(files)]) {
    if (!verifies) writeFileSync(path, bytes);
    else if (!bytes.equals(readFileSync(path))) {
      process.stderr.write(`${path} is not what the sources build: run npm run build\n`);
      process.exitCode = 1;
    }
  }
}
