/** Hints for a name that does nothing, such as `identifier` instead of `identifiers`. */

/** So many first letters tell all names apart. */
const LETTERS = 3;

/** Warns of each name that is not known, and says which is meant. If none begins alike, it may be any. */
export function checkNames(given: object, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const meant = known.find((other) => other.slice(0, LETTERS) === name.slice(0, LETTERS));
    console.warn(`Cometify: there is no '${name}'. Use ${meant || known}`);
  }
}
