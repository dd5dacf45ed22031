/**
 * Checks the code of browsers and Node in the documents, in one run of the compiler, with the types that
 * the packages publish: `npm run docs`. With the names of pages it checks just these.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileScript, parse } from 'vue/compiler-sfc';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const JS = join(ROOT, 'js');
const FENCE = /^( *)```(js|jsx|ts|vue|html)\n([\s\S]*?)^\1```\s*$/gm;
const SCRIPT = /<script(?![^>]*\bsrc=)(?![^>]*application\/json)[^>]*>([\s\S]*?)<\/script>/g;
const FAULT = /^(\S+\.[jt]sx?)\((\d+),\d+\): error TS\d+: (.*(?:\n +.*)*)$/gm;

const OPTIONS = {
  target: 'ES2024',
  lib: ['ES2024', 'DOM', 'DOM.Iterable'],
  module: 'ESNext',
  moduleResolution: 'bundler',
  jsx: 'react-jsx',
  types: ['node'],
  paths: {
    cometify: [join(JS, 'cometify.d.ts')],
    'cometify/*': [join(JS, '*.d.ts')],
    'cometify-node': [join(ROOT, 'sdk/node/index.d.ts')],
  },
  noEmit: true,
  skipLibCheck: true,
  // A script tag has the global `Cometify`, beside blocks that are modules.
  allowUmdGlobalAccess: true,
  allowJs: true,
  checkJs: true,
  strict: true,
  // JavaScript writes no types of its parameters, and no check of a value that is always there.
  noImplicitAny: false,
  strictNullChecks: false,
  useUnknownInCatchVariables: false,
};

function everyPage() {
  const folders = ['docs', 'sdk'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(ROOT, folder, name)),
  );
  return [
    join(ROOT, 'README.md'),
    join(JS, 'README.md'),
    ...folders.filter((name) => name.endsWith('.md')),
  ];
}

function linesBefore(text, index) {
  return text.slice(0, index).split('\n').length;
}

/** The scripts of a page or a component, each with the line at which it begins. */
function scriptsOf(language, code) {
  if (language !== 'html' && language !== 'vue') return [[code, 1]];
  return [...code.matchAll(SCRIPT)].map(({ 0: whole, 1: inner, index }) => [
    inner,
    linesBefore(code, index + whole.indexOf(inner, whole.indexOf('>'))),
  ]);
}

/** The faults of a component that the types do not show, such as a template that does not compile. */
function faultsOfComponent(code) {
  const { descriptor, errors } = parse(code);
  if (errors.length > 0) return errors;
  try {
    compileScript(descriptor, { id: 'page', inlineTemplate: true });
  } catch (error) {
    return [error];
  }
  return [];
}

/** Writes each script into a file of its own. Returns the pages and lines of the files, and other faults. */
function unfold(pages, folder) {
  const origins = new Map();
  const faults = [];
  for (const page of pages) {
    const text = readFileSync(page, 'utf8');
    for (const { 1: indent, 2: language, 3: block, index } of text.matchAll(FENCE)) {
      const code = block.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
      const start = linesBefore(text, index);
      if (language === 'vue') {
        const found = faultsOfComponent(code);
        faults.push(...found.map(({ message }) => `${relative(ROOT, page)}:${start}: ${message}`));
      }
      for (const [script, line] of scriptsOf(language, code)) {
        const ending = language === 'jsx' || language === 'ts' ? language : 'js';
        const name = `block${origins.size}.${ending}`;
        // An export makes it a module, so it shares no names with other blocks.
        writeFileSync(join(folder, name), `${script}\nexport {};\n`);
        origins.set(name, { page: relative(ROOT, page), line: start + line - 1 });
      }
    }
  }
  return { origins, faults };
}

function compile(folder) {
  const files = [
    '*.js',
    '*.jsx',
    '*.ts',
    join(JS, 'cometify.d.ts'),
    join(JS, 'scripts/docs-reader.d.ts'),
  ];
  const config = { compilerOptions: OPTIONS, include: files };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  try {
    execFileSync(join(JS, 'node_modules/.bin/tsc'), ['-p', '.', '--pretty', 'false'], {
      cwd: folder,
      encoding: 'utf8',
    });
  } catch ({ stdout, message }) {
    return stdout || message;
  }
  return '';
}

const named = process.argv.slice(2);
mkdirSync(join(JS, 'build'), { recursive: true });
// Below js/, where the compiler finds the packages of the frameworks.
const folder = mkdtempSync(join(JS, 'build/docs-'));
try {
  const { origins, faults } = unfold(named.length > 0 ? named : everyPage(), folder);
  const told = compile(folder);
  for (const [, file, line, message] of told.matchAll(FAULT)) {
    const { page, line: start } = origins.get(file) ?? { page: file, line: 0 };
    faults.push(`${page}:${start + Number(line)}: ${message.replace(/\n +/g, ' ')}`);
  }
  if (named.length === 0 && origins.size < 20)
    faults.push(`Only ${origins.size} blocks were found.`);
  if (faults.length > 0 || told) {
    console.error(faults.join('\n') || told);
    process.exitCode = 1;
  } else process.stdout.write(`${origins.size} blocks of code in the documents are right.\n`);
} finally {
  rmSync(folder, { recursive: true });
}
