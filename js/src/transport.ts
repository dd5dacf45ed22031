/** What the transports have in common. */
import type { Frame } from './frames';

export type Transport = 'websocket' | 'stream' | 'poll';

/** `shared`: through the listener that the tabs of this origin share. */
export type Way = Transport | 'shared';

/** Says another `listen` on this connection, which only a WebSocket can, or closes it, perhaps for now. */
export type Line = (listen: string, forNow?: boolean) => void;

/**
 * Opens a connection that says `listen` first. It reports frames, the last one being how it ended:
 * never before it has returned, but perhaps after it was closed.
 */
export type Open = (url: string, listen: string, report: (frame: Frame) => void) => Line;
