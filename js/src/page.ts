/**
 * What a page lives through that a connection has to know of. There is no `unload`: it would keep
 * the page out of the back/forward cache, as an open WebSocket would; so `pagehide` closes it.
 */
const NAMES = ['online', 'pagehide', 'pageshow', 'visibilitychange'];

/** Calls `wake` (was it the network that came back?) and `hide`; returns how to stop watching. */
export function watchPage(wake: (network: boolean) => void, hide: () => void): () => void {
  function seen({ type }: Event): void {
    if (type === 'pagehide') hide();
    else if (type !== 'visibilitychange' || !document.hidden) wake(type === 'online');
  }
  // On the way down, for not every browser lets the document's own reach the window on the way up.
  function each(change: typeof addEventListener): void {
    for (const name of NAMES) change(name, seen, true);
  }
  each(addEventListener);
  return () => each(removeEventListener);
}
