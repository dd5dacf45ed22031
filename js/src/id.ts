/** The random id by which the server knows the polls and streams of one listener. It is stored nowhere. */
export function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
