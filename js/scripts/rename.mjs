/**
 * Gives the properties and variables of a minified script their last names, and its source map the new
 * columns.
 *
 * The minifier names variables by how often they are used, and the names of properties it does not choose. A
 * script compresses better if both have names that repeat each other, so those were searched for:
 * `names.mjs`.
 */
import { decode, encode } from '@jridgewell/sourcemap-codec';
import { parse } from 'acorn';

/** Names for variables and properties. */
export const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$'];

/** While the minifiers run, a property has a name that no variable can have. */
export const mark = (i) => `zq${i}zq`;
const MARK = /zq(\d+)zq/g;

/** The offsets of the variables whose name is a letter. */
function variablesOf(code) {
  const found = [];
  function visit(node, key, parent) {
    if (!node || typeof node !== 'object') return;
    const isProperty = (key === 'property' || key === 'key') && !parent.computed;
    if (node.type === 'Identifier' && node.name.length === 1 && !isProperty) found.push(node.start);
    for (const [name, inner] of Object.entries(node)) {
      if (Array.isArray(node)) visit(inner, key, parent);
      else visit(inner, name, node);
    }
  }
  visit(parse(code, { ecmaVersion: 2018, sourceType: 'module' }));
  return found;
}

/** The places of all names, in order. A number is the index of a property, a letter is a variable. */
export function namesIn(code) {
  const places = variablesOf(code).map((at) => ({ at, name: code[at], length: 1 }));
  for (const { index, 0: text, 1: name } of code.matchAll(MARK)) {
    places.push({ at: index, name, length: text.length });
  }
  return places.sort((a, b) => a.at - b.at);
}

/** `shortOf`: the last name of each. Returns the code and the mappings of its source map. */
export function rename(code, mappings, shortOf) {
  /** For each place: its line, the column after it, and how far everything that follows has moved. */
  const moves = [];
  let renamed = '';
  let end = 0;
  for (const { at, name, length } of namesIn(code)) {
    const start = code.lastIndexOf('\n', at) + 1;
    const line = code.slice(0, start).split('\n').length - 1;
    renamed += code.slice(end, at) + shortOf(name);
    end = at + length;
    const last = moves[moves.length - 1];
    const moved = (last && last.line === line ? last.moved : 0) + shortOf(name).length - length;
    moves.push({ line, column: end - start, moved });
  }
  const lines = decode(mappings).map((segments, line) => {
    const here = moves.filter((move) => move.line === line);
    let next = 0;
    return segments.map(([column, ...rest]) => {
      while (next < here.length && here[next].column <= column) next++;
      return [column + (next ? here[next - 1].moved : 0), ...rest];
    });
  });
  return { code: renamed + code.slice(end), mappings: encode(lines) };
}
