/** Hints for a name that does nothing, such as `identifier` instead of `identifiers`. */

/** The number of first letters that tell all names apart. */
const LETTERS = 3;

/** Warns of each unknown name, and names the known one that begins alike. If none does, it names all. */
export function checkNames(given: object, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const meant = known.find((other) => name.startsWith(other.slice(0, LETTERS)));
    console.warn(`Cometify: there is no '${name}'. Use ${meant || known}`);
  }
}
