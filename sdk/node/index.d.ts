/** Options of a push. */
export interface PushOptions {
  /** True: only for listeners with a valid secureKey or token. False by default. */
  secret?: boolean;
  /** Your own number for it, from 0 to 2^63 - 1. */
  pushId?: number | bigint | string | null;
  /** The name of what happened. */
  event?: string | null;
  /** The id of the listener that caused it, which does not get it. */
  except?: string | null;
  /** Instead of `content`, for a JSON value that is a string or null. */
  data?: unknown;
}

export interface KeyOptions {
  /** Calls with the same key push once. By default each call makes a new one. */
  idempotencyKey?: string;
}

/** One push of a batch. */
export interface Push extends PushOptions {
  identifier: string;
  /** A string is the text of the push. Any other value is its data, which is sent as JSON. */
  content?: unknown;
}

/** The server has a push. */
export interface Pushed {
  /** In lower case. */
  identifier: string;
  /** Your own number. One above 2^53 - 1 is a string of digits. */
  pushId: number | string | null;
  /** The server's number of the push, a time in microseconds. */
  position: number;
  /** Listeners on the server that answered which may get the push. */
  listeners: number;
  /** The server knew the push already by its Idempotency-Key. */
  duplicate: boolean;
}

/** An identifier as the server tells of it. */
export interface IdentifierState {
  identifier: string;
  listeners: number;
  kept: number;
  bytes: number;
  position: number | null;
}

/** A kept push, in the names of the wire protocol. It has either `text` or `data`. */
export interface KeptPush {
  identifier: string;
  push_id: number | string | null;
  event?: string;
  text?: string;
  data?: unknown;
  position: number;
  secret: 0 | 1;
}

/** The usage of the account in an hour or a day, in the names of the wire protocol. */
export interface UsagePeriod {
  /** Its first second, in UTC: `2026-11-27T04:00:00Z`. */
  begins: string;
  pushes: number;
  /** Bytes of the texts of the pushes, or of their JSON. */
  push_bytes: number;
  /** Pushes that were written to listeners, once for each listener. */
  deliveries: number;
  delivered_bytes: number;
  /** Gaps that listeners were told. */
  gaps: number;
  /** The most listeners at once. */
  most_listeners: number;
  /** Refused requests and listeners, by the code of the server. */
  refused: Record<string, number>;
}

/**
 * Push to web pages through a Cometify server.
 *
 * One object keeps its connections. Every call ends within `timeout`, with all its tries. A call that
 * fails rejects with a `CometifyError`.
 */
export class Cometify {
  private constructor();

  /**
   * @param url `https://KEY:SECRET@push.example.org`. By default the environment variable COMETIFY_URL.
   * @param options `timeout`: milliseconds for a call with all its tries, 2000 by default. `bearer`: send
   *   the API secret itself instead of signatures. `?bearer=1` behind the URL does the same.
   */
  static fromUrl(url?: string, options?: { timeout?: number; bearer?: boolean }): Cometify;

  readonly apiKey: string;
  /** The scheme, the host, the port, and the path below which a proxy has the server. */
  readonly server: string;

  /** Push to one identifier. A string is the text of the push. Any other value is its data, sent as JSON. */
  push(identifier: string, content: unknown, options?: PushOptions & KeyOptions): Promise<Pushed>;

  /** Push up to 100 in one request. All are checked before one is pushed. */
  batch(pushes: Iterable<Push>, options?: KeyOptions): Promise<Pushed[]>;

  /** The newest position now. Ask for it before you read the database, and let the page listen from there. */
  position(): Promise<number>;

  /** End the connections of a visitor (the `sub` of tokens), or of a listener id. Returns how many ended. */
  disconnect(whom: { subject: string } | { listener: string }): Promise<number>;

  /**
   * The identifiers that are listened to or have pushes kept, in the order of their names. The list is asked
   * for page by page.
   */
  identifiers(options?: { prefix?: string }): AsyncGenerator<IdentifierState, void>;

  /** The listeners of one identifier, and what is kept of it. */
  identifier(identifier: string): Promise<
    IdentifierState & {
      transports: Record<'websocket' | 'stream' | 'events' | 'poll', number>;
      secret_listeners: number;
    }
  >;

  /**
   * The pushes that are kept of an identifier, the oldest first, secret ones too: those after a position, or
   * of the last ten minutes. A page has up to 1,000.
   *
   * @param options `after`: a position, such as the `next` of the page before.
   */
  pushes(
    identifier: string,
    options?: { after?: number | null },
  ): Promise<{ pushes: KeptPush[]; gap: boolean; next: number | null }>;

  /** The usage of the account in this hour, and on each of the last 31 days: today first. */
  usage(): Promise<{
    listeners: number;
    /** The API secrets that are accepted: 'newest', and 'older' while one is being replaced. */
    secrets: ('newest' | 'older')[];
    hour: UsagePeriod;
    days: UsagePeriod[];
  }>;

  /**
   * Make a token. It gives a page the right to the secret pushes of these identifiers, for so many seconds.
   *
   * @param identifiers A trailing * stands for a prefix. A string can have several, with commas.
   * @param options `sub`: the visitor to whom you give it, for `disconnect`.
   */
  token(
    identifiers: string | readonly string[],
    seconds: number,
    options?: { sub?: string },
  ): string;

  /**
   * Make a token for a person who may see the usage and the identifiers of the account, at /account of the
   * server. It gives no right to listen or to push.
   */
  accountToken(seconds: number): string;

  /** Make the secureKey of exactly this list: these names, in this order and spelling. */
  secureKey(identifiers: string | readonly string[]): string;

  /**
   * The events of a webhook's request, if the server has signed it within five minutes. Drop each event whose
   * `id` is not above the last one that you have handled. Throws a `CometifyError`: not_authorized, whatever a
   * stranger has sent, and invalid_parameter if an argument is of another type, or `otherSecret` is empty.
   *
   * @param path Of the request. A query behind it is ignored.
   * @param headers Of the request, by their names in lower case: `request.headers`.
   * @param body Its bytes, as they came.
   * @param options `otherSecret`: accepted too, while the API secret is being replaced.
   */
  verifyWebhook(
    path: string,
    headers: Record<string, string | string[] | undefined>,
    body: Uint8Array | string,
    options?: { otherSecret?: string },
  ): WebhookEvent[];

  /** Close the connections that are kept. They do not keep the process running. */
  close(): void;
}

/** An event of a webhook. Its type tells which further fields it has. */
export interface WebhookEvent {
  type: 'occupied' | 'vacated' | 'refused' | 'reset' | 'dropped' | (string & {});
  /** Grows with each event of the account. */
  id: number;
  /** Unix seconds. */
  time: number;
  identifier?: string;
  codes?: Record<string, number>;
  count?: number;
}

/** A call has failed. Its message says what to do, and holds no secret. */
export class CometifyError extends Error {
  /** The server's code, or `invalid_url`, `unreachable`, `no_answer` or `unreadable_answer`. */
  readonly code: string;
  /** For people: what to do. */
  readonly detail: string;
  /** The HTTP status of the answer. Null: there was no answer. */
  readonly status: number | null;
  /** The seconds after which the server wants the request again. */
  readonly retryAfter: number | null;
  /** The key of the push. Give it again to send the same push again. */
  readonly idempotencyKey: string | null;
}

/** The push may have been made. It is safe to send it again with the same `idempotencyKey`. */
export class MaybePushed extends CometifyError {}

/** The signature v2 of a request. `contentType`, `idempotencyKey`: as sent, empty if they are not sent. */
export function signature(request: {
  apiSecret: string;
  method: string;
  path: string;
  timestamp: string;
  nonce: string;
  contentType: string;
  idempotencyKey: string;
  body: string | Uint8Array;
}): string;
