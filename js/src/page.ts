/** Replaced by the build: true in the module, which may run in Node. */
declare const NODE: boolean;

/**
 * The events of a page that a connection must know of. A worker has only `online`, and Node has none.
 * There is no `unload`: it would keep the page out of the back/forward cache. So would an open
 * WebSocket, which is why `pagehide` closes it.
 */
const EVENTS = ['online', 'pagehide', 'pageshow', 'visibilitychange'];

/**
 * Calls `wake` (true if the network came back) and `hide`, while it is switched on by the function that
 * it returns. Switching on what is on changes nothing.
 */
export function watchPage(
  wake: (network: boolean) => void,
  hide: () => void,
): (isOn: boolean) => void {
  if (NODE && !self.addEventListener) return () => {};
  function onEvent({ type }: Event): void {
    if (type === 'pagehide') hide();
    else if (type !== 'visibilitychange' || !document.hidden) wake(type === 'online');
  }
  return (isOn) => {
    const change = isOn ? addEventListener : removeEventListener;
    // In the capturing phase, because not every browser lets the document's events bubble to the window.
    for (const name of EVENTS) change(name, onEvent, true);
  };
}
