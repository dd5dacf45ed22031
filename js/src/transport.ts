/** What the three transports have in common. */
import type { Frame } from './frames';

export type Transport = 'websocket' | 'stream' | 'poll';

/**
 * Opens a connection that says `listen` first, and returns how to close it. It reports frames, the
 * last one being how it ended: never before it has returned, but perhaps after it was closed.
 */
export type Open = (url: string, listen: string, report: (frame: Frame) => void) => () => void;
