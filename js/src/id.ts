/** Tells the server which polls and streams are one listener. Kept nowhere: it follows nobody. */
export function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
