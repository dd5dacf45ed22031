/** Names that the blocks of code in the documents leave to the reader. `docs.mjs` compiles the blocks with these. */

interface Order {
  id: number;
  total: number;
}

interface Window {
  Echo: import('laravel-echo').default<keyof import('laravel-echo').Broadcaster>;
}

declare const connection: import('../cometify.js').Connection;
declare const listener: import('../cometify.js').Connection;
declare const orders: import('../cometify.js').Subscription;
declare const secureKey: string;

declare const cometify: import('../../sdk/node/index.js').Cometify;
declare const order: Order;
declare const id: number;
/** A connection to PostgreSQL. */
declare const client: { query(text: string, values?: unknown[]): Promise<unknown> };

/** A request as node:http has it, and its body. */
declare const request: { url: string; headers: Record<string, string | string[] | undefined> };
declare const body: Uint8Array;

declare const app: import('vue').App;
declare const messages: import('vue').Ref<unknown[]>;
declare const props: { room: number };

declare function add(notice: { data: Order }): void;
declare function fetchMessages(): Promise<Order[]>;
declare function fetchToken(): Promise<string>;
declare function later(identifier: string, content: unknown, idempotencyKey: string): void;
declare function load(): void;
declare function onMail(data: string, id: number | string | null, identifier: string): void;
declare function reload(about: unknown): void;
declare function reloadOrders(): Promise<Order[]>;
declare function report(...about: unknown[]): void;
declare function saveOrder(order: unknown): Promise<Order>;
declare function show(...what: unknown[]): void;

/** Of a worker. The other names of one are those of a page. */
declare function importScripts(...urls: string[]): void;

declare module '*/App.vue' {
  const component: import('vue').Component;
  export default component;
}

/** The server's own module. */
declare module 'https://*' {
  export * from 'cometify';
}

/** Express, as far as the recipe uses it. */
declare module 'express' {
  interface Answer {
    status(code: number): { json(value: unknown): void };
  }
  interface Application {
    use(layer: unknown): void;
    post(path: string, answer: (request: { body: unknown }, response: Answer) => unknown): void;
    listen(port: number | string): void;
  }
  function express(): Application;
  namespace express {
    function json(): unknown;
  }
  export default express;
}
