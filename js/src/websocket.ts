/**
 * The WebSocket transport: a frame each way is a text message. Keys travel in the first message and
 * not in the address, which proxies write into their logs.
 */
import { CUT, ofClose, ofLine } from './frames';
import type { Open } from './transport';

export const openWebSocket: Open = (url, listen, report) => {
  try {
    const socket = new WebSocket(url.replace('http', 'ws'));
    socket.onopen = () => socket.send(listen);
    socket.onmessage = ({ data }) => report(ofLine(data));
    socket.onclose = ({ code, reason }) => report(ofClose(code, reason));
    return (again) => (again ? socket.send(again) : socket.close());
  } catch {
    // No constructor, a dead one, or one that the page's policy forbids.
    setTimeout(report, 0, CUT);
    return () => {};
  }
};
