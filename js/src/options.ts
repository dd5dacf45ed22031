/**
 * What a page writes into `Cometify.init({…})` or `subscribe(…)`, checked at once: a mistake is a
 * TypeError that names the option and what to write, and not a listener that stays silent.
 */
import type { Callback, Group, Identifiers } from './group';
import type { Token } from './token';
import type { Transport } from './transport';

/** What makes a group: identifiers, who may have their secret pushes, and who gets them. */
export interface GroupOptions {
  /** `md5hex(apiKey + apiSecret + md5hex(identifiers, comma separated))`, for secret pushes. */
  secureKey?: string | null | undefined;
  /** Instead of a secureKey: a JWT, a promise of one, or a function that gives either. */
  token?: Token | null | undefined;
  /** A function, or the (dotted) name of a global one, looked up when a push arrives. */
  callback?: Callback | string | undefined;
}

export interface Options extends GroupOptions {
  apiKey: number | string;
  /** One, several, or each with the internal id after which it starts. */
  identifiers: Identifiers;
  callback: Callback | string;
  /** Where Cometify runs, unless it is where this script came from. */
  server?: string | undefined;
  /** The order to try. */
  transports?: readonly Transport[] | undefined;
  /** The tabs of this origin share one listener. */
  share?: boolean | undefined;
}

/** Options that are right. */
export interface Settings {
  server: string;
  apiKey: number | string;
  group: Group;
  transports: Transport[];
  share: boolean | undefined;
}

const TRANSPORTS: Transport[] = ['websocket', 'stream', 'poll'];

function must(holds: unknown, write: string): asserts holds {
  if (!holds) throw new TypeError(`Cometify needs ${write}`);
}

/** In a number above 2^53 - 1 the last digits are others than the page wrote. */
function isExact(value: unknown, pattern: RegExp): value is number | string {
  return pattern.test(`${value}`) && (typeof value === 'string' || Number.isSafeInteger(value));
}

/** `home` is where the script came from, if that is known. */
export function readOptions(options: Options, home: string | undefined): Settings {
  const { apiKey, server = home, transports = TRANSPORTS, share } = options || {};
  must(isExact(apiKey, /^[\w-]{1,64}$/), "apiKey: 37282591 or '37282591'");
  must(/^https?:\/\/[^/]/.test(server || ''), "server: 'https://push.example.org'");
  must(
    transports[0] && transports.every((transport) => TRANSPORTS.includes(transport)),
    `transports: [some of ${TRANSPORTS}]`,
  );
  return {
    server: (server as string).replace(/\/+$/, ''),
    apiKey,
    group: readGroup(options.identifiers, options),
    transports: [...transports],
    share,
  };
}

export function readGroup(
  identifiers: Identifiers,
  { secureKey, token, callback }: GroupOptions,
): Group {
  must(
    typeof callback === 'function' || (typeof callback === 'string' && /^[^\s()]+$/.test(callback)),
    "callback: a function, or 'itsName'",
  );
  must(!secureKey || typeof secureKey === 'string', 'secureKey: a string, or none');
  must(!secureKey || !token, 'secureKey or token, not both');
  must(
    !token || /^(st|fu)/.test(typeof token) || (token as Promise<string>).then,
    'token: a string, or a function or promise that gives one',
  );
  return {
    ...readIdentifiers(identifiers),
    secureKey: secureKey || undefined,
    source: token || undefined,
    callback,
  };
}

const NAMES =
  "identifiers: 'chat', ['chat', 'news'] or {chat: 59}; 1 to 100, each once, of a-z, A-Z, 0-9 and _";

/** Internal ids become numbers where those are exact: a template may have printed them as strings. */
export function readIdentifiers(given: Identifiers): Group {
  const list = (typeof given === 'string' ? [given] : given || []) as Record<string, string>;
  const names: string[] = Array.isArray(list) ? [...list] : Object.keys(list);
  const spelling = new Map<string, string>();
  const ids: Record<string, number | string> = {};
  must(names[0] && !names[100], NAMES);
  for (const name of names) {
    const lower = `${name}`.toLowerCase();
    must(isExact(name, /^[a-z]\w{0,59}$/i) && !spelling.has(lower), `${NAMES}, not '${name}'`);
    spelling.set(lower, name);
    if (!Array.isArray(list)) {
      const id = list[name] as string;
      must(isExact(id, /^\d{1,19}$/), `identifiers: {${name}: 59}, in quotes from 2^53 up`);
      ids[name] = Number.isSafeInteger(+id) ? +id : id;
    }
  }
  return {
    identifiers: Array.isArray(list) ? names : ids,
    spelling,
    names: [...spelling.keys()],
  };
}
