/**
 * The published types: misuse does not compile, and they are the same as those of the sources. None of
 * this runs. A line under `@ts-expect-error` that compiles is an error.
 */
import * as Cometify from '../cometify';
import type * as source from '../src/index';

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const same: [
  Same<Cometify.Options, source.Options>,
  Same<Cometify.SubscribeOptions, source.SubscribeOptions>,
  Same<Cometify.ConnectOptions, source.ConnectOptions>,
  Same<Cometify.Listener, source.Listener>,
  Same<Cometify.Notice, source.Notice>,
  Same<Cometify.State, source.State>,
  Same<Cometify.Token, source.Token>,
  Same<typeof Cometify.init, typeof source.init>,
  Same<typeof Cometify.connect, typeof source.connect>,
] = [true, true, true, true, true, true, true, true, true];

const right = { apiKey: 1, identifiers: 'chat', callback: 'onPush' } as const;
const listener = Cometify.init(right).start();

// Correct use.
Cometify.init({ ...right, identifiers: ['a', 'b'] as const, transports: ['poll'], share: true });
Cometify.init({ ...right, identifiers: { a: 1, b: '2' }, token: async () => 'x.y.z' });
Cometify.init({ ...right, callback: (data) => data.trim() });
listener
  .on('push', ({ data, id, identifier, position }) => [data.trim(), id, identifier, position + 1])
  .on('state', ({ state, after }) => [state === 'waiting', after && after / 1000])
  .on('gap', ({ identifiers }) => identifiers.map((name) => name.trim()))
  .on('error', ({ code, detail, fatal }) => [code.trim(), detail.trim(), fatal && 1])
  .subscribe('a')
  .subscribe(
    { b: 0 },
    { secureKey: 'k', callback: (data, id, identifier) => [data, id, identifier] },
  )
  .unsubscribe(['a', 'b'])
  .stop();
Cometify.init({ ...right, callback: (data: { total: number }) => data.total });
const connection = Cometify.connect({ apiKey: 1, server: 'https://push.example.org' });
const orders: Cometify.Subscription = connection.subscribe('orders', { token: null });
orders.on('push', ({ data }) => data.trim()).stop();
Cometify.connect({ apiKey: 1, identifiers: [], callback: 'onPush', transports: ['poll'] });

const typed = connection.subscribe<{ created: { id: number }; counted: { total: number } }>(
  'orders',
  {
    since: 1764000000000000,
  },
);
const { signal } = new AbortController();
typed
  .on('created', ({ data, event }) => [data.id + 1, event === 'created'], { signal })
  .on('push', ({ data, event }) => [data, event && event.trim()])
  .on('state', ({ state }) => state);
connection.subscribe('orders', { since: '1764000000000000' }).on('created', ({ data }) => data.id);

// Wrong use.
// @ts-expect-error no apiKey
Cometify.connect({ server: 'https://push.example.org' });
// @ts-expect-error no callback
Cometify.init({ apiKey: 1, identifiers: 'chat' });
// @ts-expect-error no apiKey
Cometify.init({ identifiers: 'chat', callback: 'f' });
// @ts-expect-error an identifier is a string
Cometify.init({ ...right, identifiers: [5] });
// @ts-expect-error there is no such transport
Cometify.init({ ...right, transports: ['sse'] });
// @ts-expect-error there is no such option
Cometify.init({ ...right, secretKey: 'k' });
// @ts-expect-error a token is a string in the end
Cometify.init({ ...right, token: async () => 5 });
// @ts-expect-error an id may be null
Cometify.init({ ...right, callback: (_data, id: number) => id });
// @ts-expect-error there is no such event
typed.on('message', () => {});
// @ts-expect-error the event has other data
typed.on('created', ({ data }) => data.total);
// @ts-expect-error an event may have no name of a notice
typed.on('gap', ({ event }) => event);
// @ts-expect-error since is no date
connection.subscribe('orders', { since: new Date() });
// @ts-expect-error a signal belongs into an object
orders.on('push', () => {}, new AbortController().signal);
// @ts-expect-error a gap has no data
listener.on('gap', ({ data }) => data);
// @ts-expect-error an error has no text
listener.on('push', ({ detail }) => detail);
// @ts-expect-error the state is read only
listener.state = 'connected';
// @ts-expect-error there is no such state
listener.state === 'open';
// @ts-expect-error unsubscribe takes no map
listener.unsubscribe({ a: 1 });
// @ts-expect-error a listener is started once, by start()
listener.start();
// @ts-expect-error subscribe takes identifiers first
listener.subscribe({ secureKey: 'k' }, 'chat');
