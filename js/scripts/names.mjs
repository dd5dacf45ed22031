/**
 * Searches for short names with which the script is smallest, compressed, and writes them into names.json.
 * It goes on from the names that are there, and takes some minutes. Run it when the script comes near its
 * size gate, because other names are best for other code.
 *
 * A compressor finds longer repeats if the same letters follow one another often. No rule says which names
 * achieve that. So chance proposes changes, and those that do not make the script larger are kept.
 */
import { writeFileSync } from 'node:fs';
import { buildMarked, INNER, NAMES, SCRIPTS } from './build.mjs';
import { gzipped } from './gzip.mjs';
import { LETTERS, namesIn } from './rename.mjs';

const STEPS = 30_000;

/** Letters that are variables everywhere. Two of them are a name that often stands there already. */
const FREQUENT = [...'etnrio'];
const PAIRS = FREQUENT.flatMap((first) => FREQUENT.map((second) => first + second));

/** The same numbers at each run, so that the same sources and names lead to the same names. */
let seed = 1;
function chance(below) {
  seed = (seed * 48_271) % 2_147_483_647;
  return Math.floor((seed / 2_147_483_647) * below);
}

const { code } = await buildMarked(SCRIPTS[0]);

/** The text of the script, and after each piece of it the name that follows. */
const parts = [];
let end = 0;
for (const { at, name, length } of namesIn(code)) {
  parts.push(code.slice(end, at), name);
  end = at + length;
}
parts.push(code.slice(end));

function sizeOf(table) {
  return gzipped(Buffer.from(parts.map((part, i) => (i % 2 ? table[part] : part)).join('')));
}

/** The indexes of the properties, and the names that none of them has. */
const properties = [...new Set(parts.filter((part, i) => i % 2 && /\d/.test(part)))];
const known = properties.map((i) => NAMES.properties[INNER[i]]);
let free = [...LETTERS, ...PAIRS].filter((name) => !known.includes(name));
let table = Object.fromEntries(
  LETTERS.map((letter) => [letter, NAMES.variables[letter] || letter]),
);
properties.forEach((property, i) => {
  table[property] = known[i] || free.shift();
});

let best = sizeOf(table);
for (let step = 0; step < STEPS; step++) {
  const tried = { ...table };
  const left = [...free];
  const names = chance(5) < 3 ? properties : LETTERS;
  for (let changes = chance(3) ? 1 : 2; changes; changes--) {
    const name = names[chance(names.length)];
    const other = names[chance(names.length)];
    const i = chance(left.length);
    // Every letter is a variable of some scope, so variables can only change places.
    if (names === properties && chance(2)) [tried[name], left[i]] = [left[i], tried[name]];
    else [tried[name], tried[other]] = [tried[other], tried[name]];
  }
  const size = sizeOf(tried);
  if (size > best) continue;
  best = size;
  table = tried;
  free = left;
}

const names = {
  properties: Object.fromEntries(properties.map((i) => [INNER[i], table[i]])),
  variables: Object.fromEntries(LETTERS.map((letter) => [letter, table[letter]])),
};
writeFileSync(new URL('names.json', import.meta.url), `${JSON.stringify(names, null, 2)}\n`);
process.stdout.write(`${best} bytes, compressed\n`);
