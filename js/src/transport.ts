/** The contract that every transport keeps. */
import type { Frame } from './frames';

export type Transport = 'websocket' | 'stream' | 'poll';

/** `shared`: through the listener that the tabs of this origin share. */
export type Way = Transport | 'shared';

/** An open connection. */
export interface Line {
  /** Sends another `listen` on the same connection. Only a WebSocket can. */
  send?(listen: string): void;
  /** May be called again, and for good after it was called for now. */
  close(forNow: boolean): void;
}

/**
 * Opens a connection and sends `listen` first. It reports frames, and how it ended as the last one.
 * It never reports before it has returned, but may still do so after it was closed.
 */
export type Open = (
  url: string,
  listen: string,
  report: (frame: Frame) => void,
) => Line | undefined;
