/** Replaced by the build: true in the module, which may run in Node. */
declare const NODE: boolean;

/**
 * The events of a page that a connection must know of. A worker has only `online`, and Node has none.
 *
 * `unload` is not among them, because a page that listens to it is kept out of the back/forward cache. An
 * open WebSocket keeps a page out too, so `pagehide` closes the connection.
 */
const EVENTS = ['online', 'pagehide', 'pageshow', 'visibilitychange'];

/**
 * Returns a switch. While it is on, `wake` and `hide` are called. `wake` gets true if the network came back.
 * To switch on what is on already changes nothing.
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
