/**
 * The WebSocket transport: a frame in either direction is a text message. Keys travel in the first
 * message and not in the address, because proxies write addresses into their logs.
 */
import { CUT, ofClose, ofLine } from './frames';
import type { Open } from './transport';

export const openWebSocket: Open = (url, listen, report) => {
  try {
    const socket = new WebSocket(url.replace('http', 'ws'));
    socket.onopen = () => socket.send(listen);
    socket.onmessage = ({ data }) => report(ofLine(data));
    socket.onclose = ({ code, reason }) => report(ofClose(code, reason));
    return {
      send: (again) => socket.send(again),
      close: () => socket.close(),
    };
  } catch {
    // There is no constructor, or one that does not work, or the page's policy forbids it.
    setTimeout(report, 0, CUT);
    return undefined;
  }
};
