// The blocks of code in the documents that browsers and Node run: each must parse. `npm run docs`
import { readdir, readFile } from 'node:fs/promises';
import { transform } from 'esbuild';

const root = new URL('../../', import.meta.url);
const fence = /^( *)```(js|jsx|ts|vue|html)\n([\s\S]*?)^\1```\s*$/gm;
const script = /<script(?![^>]*\bsrc=)(?![^>]*application\/json)[^>]*>([\s\S]*?)<\/script>/g;

/** The parts of a block that are code: a page and a component have it in their scripts. */
const parts = (language, code) =>
  language === 'html' || language === 'vue'
    ? [...code.matchAll(script)].map(([, inner]) => ['ts', inner])
    : [[language, code]];

const pages = ['README.md', 'js/README.md'];
for (const name of await readdir(new URL('docs/', root), { recursive: true })) {
  if (name.endsWith('.md')) pages.push(`docs/${name}`);
}

let count = 0;
const faults = [];
for (const page of pages) {
  const text = await readFile(new URL(page, root), 'utf8');
  for (const { 1: indent, 2: language, 3: block, index } of text.matchAll(fence)) {
    const line = text.slice(0, index).split('\n').length;
    const code = block.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    for (const [loader, part] of parts(language, code)) {
      count += 1;
      try {
        await transform(part, { loader, logLevel: 'silent' });
      } catch (error) {
        faults.push(`${page}:${line}: ${error.errors?.[0]?.text ?? error}`);
      }
    }
  }
}

if (count < 20 || faults.length > 0) {
  console.error(faults.join('\n') || `only ${count} blocks were found`);
  process.exitCode = 1;
}
