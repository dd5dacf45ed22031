/**
 * What a page writes into `Cometify.init({…})` or `subscribe(…)`, checked at once: a mistake is a
 * TypeError that names the option and what to write, and not a listener that stays silent.
 */
import type { Callback, Group, Identifiers } from './group';
import type { Token } from './token';
import type { Transport, Way } from './transport';

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
export type Settings = [url: string, group: Group, transports: Way[], share: boolean | undefined];

export const ORIGIN = /^https?:\/\/[^/]+/;

const TRANSPORTS: Transport[] = ['websocket', 'stream', 'poll'];

function must(holds: unknown, write: string): asserts holds {
  if (!holds) throw new TypeError(`Cometify needs ${write}`);
}

/** In a number above 2^53 - 1 the last digits are others than the page wrote. */
function isExact(value: unknown, pattern: RegExp): value is number | string {
  return (
    pattern.test(value as string) && (typeof value === 'string' || Number.isSafeInteger(value))
  );
}

/** `home` is where the script came from, if that is known. */
export function readOptions(options: Options, home: string | undefined): Settings {
  const { apiKey, server = home, transports = TRANSPORTS, share } = options || {};
  must(isExact(apiKey, /^[\w-]{1,64}$/), 'apiKey: 37282591');
  must(ORIGIN.test(server as string), "server: 'https://…'");
  must(
    transports[0] && transports.every((transport) => TRANSPORTS.includes(transport)),
    `transports: some of ${TRANSPORTS}`,
  );
  return [
    (server as string).replace(/\/*$/, `/${apiKey}/`),
    readGroup(options.identifiers, options),
    [...transports],
    share,
  ];
}

export function readGroup(
  identifiers: Identifiers,
  { secureKey, token, callback }: GroupOptions,
): Group {
  must(
    /^fu|^string:[^\s()]+$/.test(`${typeof callback}:${callback}`),
    'callback: a function or its name',
  );
  must(
    !secureKey || (typeof secureKey === 'string' && !token),
    'secureKey: a string, and no token',
  );
  return {
    ...readIdentifiers(identifiers),
    secureKey: secureKey || undefined,
    source: typeof token === 'function' ? token : token && (() => token),
    renewal: token ? 0 : undefined,
    callback,
  };
}

/** An internal id may be a string of digits, and from 2^53 up must be one. */
export function readIdentifiers(given: Identifiers): Group {
  const list = (typeof given === 'string' ? [given] : given || []) as Record<string, string>;
  const isList = Array.isArray(list);
  const names: string[] = isList ? [...list] : Object.keys(list);
  const spelling = new Map<string, string>();
  const right = "identifiers: 1 to 100, as 'a', ['a', 'b'] or {a: 59}";
  must(names[0] && !names[100], right);
  for (const name of names) {
    const lower = `${name}`.toLowerCase();
    must(
      isExact(name, /^[a-z]\w{0,59}$/i) &&
        !spelling.has(lower) &&
        (isList || isExact(list[name], /^(0|[1-9]\d{0,18})$/)),
      `${right}, not '${name}'${isList ? '' : `: ${list[name]}`}`,
    );
    spelling.set(lower, name);
  }
  return { identifiers: isList ? names : { ...list }, spelling };
}
