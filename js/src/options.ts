/**
 * The options that a page writes into `Cometify.init({…})` or `subscribe(…)`, checked at once. A
 * mistake is a TypeError that names the option and the right form, and not a listener that stays
 * silent.
 */
import type { Callback, Group, Identifiers } from './group';
import { checkNames } from './teach';
import type { Token } from './token';
import type { Transport, Way } from './transport';

/** Replaced by the build: true in the module, which may run in Node. */
declare const NODE: boolean;

/** The options of one subscription: the key to its secret pushes, and the callback that gets its pushes. */
export interface SubscribeOptions {
  /** `md5hex(apiKey + apiSecret + md5hex(identifiers, comma separated))`, for secret pushes. */
  secureKey?: string | null | undefined;
  /** Instead of a secureKey: a JWT, a promise of one, or a function that gives either. */
  token?: Token | null | undefined;
  /** A function, or the (dotted) name of a global one, looked up when a push arrives. */
  callback?: Callback | string | undefined;
  /** The position after which to begin, as `GET /{apiKey}/position` tells it. */
  since?: number | string | null | undefined;
}

/** The server, and a cache before it that answers the polls for public pushes. */
export interface Servers {
  origin: string;
  poll: string;
}

export interface ConnectOptions extends SubscribeOptions {
  apiKey: number | string;
  /** One, several, or each with the internal id after which it starts. None: `subscribe` names them. */
  identifiers?: Identifiers | undefined;
  /** The origin of the server, unless this script came from there. */
  server?: string | Servers | undefined;
  /** The order to try. */
  transports?: readonly Transport[] | undefined;
  /** The tabs of this origin share one listener. */
  share?: boolean | undefined;
}

export interface Options extends ConnectOptions {
  identifiers: Identifiers;
  callback: Callback | string;
}

const SUBSCRIBE_OPTIONS = ['secureKey', 'token', 'callback', 'since'];

/** The options of a connection. */
export const OPTIONS = [
  'apiKey',
  'identifiers',
  'server',
  'transports',
  'share',
  ...SUBSCRIBE_OPTIONS,
];

/** `edge`: the origin of the edge. It stands here because each setting of its own costs the script bytes. */
export type FirstGroup = Group & { edge?: string };

/** Options that were checked. */
export interface Settings {
  url: string;
  /** Without identifiers if there is nothing to listen to yet. */
  group: FirstGroup;
  /** For the subscriptions that have none of their own. */
  callback: Callback | string;
  ways: Way[];
  isShared: boolean;
}

export const ORIGIN = /^https?:\/\/[^/]+/;

const TRANSPORTS: Transport[] = ['websocket', 'stream', 'poll'];

const API_KEY = /^[\w-]{1,64}$/;
/** The right beginning of an identifier, by the widest rule that an account can have. */
const IDENTIFIER = /^[a-z][\w.-]{0,99}/i;
/** An internal id or a position. */
const COUNT = /^(0|[1-9]\d{0,18})$/;
/** A dotted name needs no stricter rule, because it is looked up and never evaluated. */
const FUNCTION_NAME = /^[^\s()]+$/;

const MOST_IDENTIFIERS = 100;

const IDENTIFIERS = `identifiers: 1 to ${MOST_IDENTIFIERS}, as 'a', ['a', 'b'] or {a: 59}`;

const CALLBACK = 'callback: a function, or its global name';

function must(holds: unknown, write: string): asserts holds {
  if (!holds) throw new TypeError(`Cometify needs ${write}`);
}

/** False for a number above 2^53 - 1, because its last digits are not the ones that the page wrote. */
function isExact(value: unknown, pattern: RegExp): value is number | string {
  return (
    pattern.test(value as string) && (typeof value === 'string' || Number.isSafeInteger(value))
  );
}

/** `home` is the origin that the script came from, if that is known. */
export function readOptions(options: ConnectOptions, home: string | undefined): Settings {
  const {
    apiKey,
    server = home,
    transports = TRANSPORTS,
    share,
    identifiers,
    callback,
  } = options || ({} as ConnectOptions);
  must(isExact(apiKey, API_KEY), 'apiKey, such as 37282591');
  must(ORIGIN.test(server as string), "server: 'https://…'");
  must(
    Array.isArray(transports) &&
      transports[0] &&
      transports.every((transport) => TRANSPORTS.includes(transport)),
    `transports: some of ${TRANSPORTS}`,
  );
  if (NODE && typeof WebSocket !== 'function') {
    must(
      transports.some((transport) => transport !== 'websocket'),
      "transports: add 'stream', because there is no WebSocket here. Node has it from version 22 on",
    );
  }
  must(callback, CALLBACK);
  return {
    url: (server as string).replace(/\/*$/, `/${apiKey}/`),
    group: readGroup(identifiers as Identifiers, options),
    callback,
    ways: [...transports],
    isShared: !!share,
  };
}

/**
 * Reads the options of a listener that may have an edge. An audience must not fall back on the server when its
 * cache is down, so other transports are used only if the page names them, or asks for secret pushes.
 */
export function readServers(options: ConnectOptions, home: string | undefined): Settings {
  const { server = {} as Servers, transports, secureKey, token } = options || {};
  const { origin, poll } = server as Servers;
  if (!poll) return readOptions(options, home);
  must(ORIGIN.test(poll), "server: {origin: 'https://…', poll: 'https://…'}");
  const ways: Partial<ConnectOptions> =
    transports || secureKey || token ? {} : { transports: ['poll'] };
  const settings = readOptions({ ...options, ...ways, server: origin }, home);
  settings.group.edge = poll;
  return settings;
}

export function readGroup(
  identifiers: Identifiers,
  { secureKey, token, callback, since }: SubscribeOptions,
): Group {
  must(
    callback === undefined ||
      typeof callback === 'function' ||
      (typeof callback === 'string' && FUNCTION_NAME.test(callback)),
    CALLBACK,
  );
  must(!secureKey || typeof secureKey === 'string', 'secureKey: a string');
  must(!secureKey || !token, 'secureKey or token, not both');
  must(since == null || isExact(since, COUNT), 'since: a position');
  const position = since == null ? undefined : Number(since);
  return {
    ...readIdentifiers(identifiers),
    position,
    since: position,
    secureKey: secureKey || undefined,
    source: token || undefined,
  };
}

/** The group of a subscription, which has at least one identifier. */
export function readSubscription(identifiers: Identifiers, options: SubscribeOptions): Group {
  checkNames(options, SUBSCRIBE_OPTIONS);
  const group = readGroup(identifiers, options);
  must(group.spelling.size, IDENTIFIERS);
  return group;
}

/** An internal id may be a string of digits, and must be one from 2^53 up. */
export function readIdentifiers(given: Identifiers): Group {
  const list = (typeof given === 'string' ? [given] : given) as Record<string, string>;
  const isList = Array.isArray(list);
  const names: string[] = isList ? [...list] : Object.keys(Object(list));
  const spelling = new Map<string, string>();
  must(Object(list) === list && names.length <= MOST_IDENTIFIERS, IDENTIFIERS);
  for (const name of names) {
    const lower = `${name}`.toLowerCase();
    const [wrong] = `${name}`.replace(IDENTIFIER, '');
    must(
      isExact(name, IDENTIFIER) &&
        !wrong &&
        !spelling.has(lower) &&
        (isList || isExact(list[name], COUNT)),
      `${IDENTIFIERS}, not '${name}'${isList ? '' : `: ${list[name]}`}${wrong ? ` because of '${wrong}'` : ''}`,
    );
    spelling.set(lower, name);
  }
  return { identifiers: isList ? names : { ...list }, spelling };
}
