/**
 * Laravel Echo 2: `new Echo({ broadcaster: CometifyConnector, key, server })`.
 *
 * A channel is an identifier of the same name, and an event of Laravel is the event of a push, with dots
 * for backslashes. A private channel asks the app for a token. A refusal ends that channel alone.
 */
import { Channel, Connector, EventFormatter } from 'laravel-echo';
import { type Connection, connect } from './index';
import type { NoticeOf } from './notices';
import type { Subscription } from './subscription';

/** The options of `new Echo({…})`, with Echo's own defaults. */
type Options = Connector<'null', Channel, Channel, never>['options'];

type Status = 'connected' | 'disconnected' | 'connecting' | 'reconnecting' | 'failed';

type Hearer = [event: string, callback: CallableFunction, hear: (push: NoticeOf<'push'>) => void];

const STATUS: Record<string, Status> = {
  idle: 'disconnected',
  stopped: 'disconnected',
  waiting: 'reconnecting',
};

class CometifyChannel extends Channel {
  declare subscription: Subscription;
  declare private hearers: Hearer[];
  /** The page has a function for errors. */
  declare private isHandled?: boolean;

  constructor(
    connection: Connection,
    readonly name: string,
    override options: Options,
    isPrivate?: boolean,
  ) {
    super();
    const { authEndpoint, auth } = options;
    /** Asks the app for a token. If this throws, the client tells the page of the error and asks again. */
    const authorize = async () => {
      const answer = await fetch(authEndpoint, {
        method: 'POST',
        headers: auth.headers,
        body: new URLSearchParams({ channel_name: name, socket_id: connection.listener }),
      });
      if (answer.ok) return (await answer.json()).token;
      // From 429 up another try can succeed. Below, the channel ends with the error, because a connection
      // that asks for forbidden identifiers alone would be refused.
      if (answer.status < 429) {
        this.subscription.on('error', ({ detail }) => {
          this.subscription.stop();
          if (!this.isHandled) console.error(detail);
        });
      }
      throw `${authEndpoint}: ${answer.status}`;
    };
    this.hearers = [];
    this.subscription = connection.subscribe(name, { token: isPrivate ? authorize : null });
  }

  /** The event as a push has it. */
  private spell(event: string): string {
    return new EventFormatter(this.options.namespace).format(event).replace(/\\/g, '.');
  }

  listen(event: string, callback: CallableFunction): this {
    const name = this.spell(event);
    const hear: Hearer[2] = (push) => push.event === name && callback(push.data);
    this.hearers.push([name, callback, hear]);
    this.subscription.on('push', hear);
    return this;
  }

  stopListening(event: string, callback?: CallableFunction): this {
    const name = this.spell(event);
    this.hearers = this.hearers.filter(([heard, had, hear]) => {
      const stays = heard !== name || (callback && had !== callback);
      if (!stays) this.subscription.off('push', hear);
      return stays;
    });
    return this;
  }

  /** Calls back whenever the connection is there, and soon if it already is. */
  subscribed(callback: CallableFunction): this {
    const tell = () => this.subscription.state === 'connected' && callback();
    this.subscription.on('state', tell);
    setTimeout(tell);
    return this;
  }

  /** A refusal of the app is told once. */
  error(callback: CallableFunction): this {
    this.isHandled = true;
    this.subscription.on('error', callback as (error: NoticeOf<'error'>) => void);
    return this;
  }
}

export class CometifyConnector extends Connector<'null', CometifyChannel, CometifyChannel, never> {
  // Echo's constructor calls `connect`, which sets them.
  declare connection: Connection;
  declare channels: Record<string, CometifyChannel>;

  connect(): void {
    const { key: apiKey, server } = this.options;
    this.channels = {};
    // Without `share`, because with it the server would know the leading tab alone by its listener id.
    this.connection = connect({ apiKey: apiKey as string, server });
  }

  channel(name: string, isPrivate?: boolean): CometifyChannel {
    const { channels } = this;
    channels[name] =
      channels[name] || new CometifyChannel(this.connection, name, this.options, isPrivate);
    return channels[name];
  }

  listen(name: string, event: string, callback: CallableFunction): CometifyChannel {
    return this.channel(name).listen(event, callback);
  }

  privateChannel(name: string): CometifyChannel {
    return this.channel(`private-${name}`, true);
  }

  presenceChannel(): never {
    throw new Error('Use private(), not join()');
  }

  leave(name: string): void {
    this.leaveChannel(name);
    this.leaveChannel(`private-${name}`);
  }

  leaveChannel(name: string): void {
    const { channels } = this;
    if (channels[name]) channels[name].subscription.stop();
    delete channels[name];
  }

  /** The id for `except`, which Laravel's `toOthers` sends. */
  socketId(): string {
    return this.connection.listener;
  }

  connectionStatus(): Status {
    const { state } = this.connection;
    return STATUS[state] || (state as Status);
  }

  onConnectionChange(callback: (status: Status) => void): () => void {
    const tell = () => callback(this.connectionStatus());
    this.connection.on('state', tell);
    return () => void this.connection.off('state', tell);
  }

  disconnect(): void {
    this.connection.stop();
  }
}
