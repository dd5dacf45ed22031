/** Cometify for Laravel Echo 2: `new Echo({ broadcaster: CometifyConnector, key, server })`. */
import { type Channel, Connector } from 'laravel-echo';
import type { Connection } from './cometify.js';

/** A channel of Echo. Its name is the identifier. */
export interface CometifyChannel extends Channel {
  readonly name: string;
}

export type Status = 'connected' | 'disconnected' | 'connecting' | 'reconnecting' | 'failed';

/**
 * The connector reads these options of Echo: `key` (the API key), `server` (the URL of Cometify),
 * `authEndpoint`, `auth`, `csrfToken`, `bearerToken` and `namespace`.
 */
export class CometifyConnector extends Connector<'null', CometifyChannel, CometifyChannel, never> {
  connection: Connection;
  channels: Record<string, CometifyChannel>;
  connect(): void;
  channel(name: string): CometifyChannel;
  privateChannel(name: string): CometifyChannel;
  /** Throws, because Cometify has no presence channels. */
  presenceChannel(): never;
  listen(name: string, event: string, callback: CallableFunction): CometifyChannel;
  leave(name: string): void;
  leaveChannel(name: string): void;
  /** The id for `except`, which Laravel's `toOthers` sends. */
  socketId(): string;
  connectionStatus(): Status;
  onConnectionChange(callback: (status: Status) => void): () => void;
  disconnect(): void;
}
