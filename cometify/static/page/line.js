/**
 * The line between the client and the server, which a visitor can cut.
 *
 * The client listens through WebSocket and fetch. This module puts its own in front of both, so it
 * must run before the client's script does. The pushes of this page go out through `pushFetch`, the
 * fetch from before, because they must work while the line is cut.
 */

export const pushFetch = window.fetch.bind(window);

/** One function for each connection that is open, which ends it. */
const hangUps = new Set();
let isUp = true;

export const line = {
  get isUp() {
    return isUp;
  },

  cut() {
    isUp = false;
    for (const hangUp of hangUps) hangUp();
    hangUps.clear();
  },

  mend() {
    isUp = true;
    // The event by which a browser says that its network is back.
    window.dispatchEvent(new Event('online'));
  },
};

window.WebSocket = class extends WebSocket {
  constructor(...settings) {
    super(...settings);
    const hangUp = () => this.close();
    if (!isUp) hangUp();
    hangUps.add(hangUp);
    this.addEventListener('close', () => hangUps.delete(hangUp));
  }
};

window.fetch = async (resource, settings = {}) => {
  const lost = new TypeError('The line is cut');
  if (!isUp) throw lost;
  const { signal } = settings;
  signal?.throwIfAborted();
  const control = new AbortController();
  const hangUp = () => control.abort(lost);
  hangUps.add(hangUp);
  // The client aborts every request in the end, also one whose answer is complete.
  const end = () => {
    control.abort(signal.reason);
    hangUps.delete(hangUp);
  };
  signal?.addEventListener('abort', end, { once: true });
  return pushFetch(resource, { ...settings, signal: control.signal });
};
