/**
 * A group is what a listener asks for in one go: identifiers, the key made for exactly that list,
 * and where to resume. Each group has its own cursor, so that one can join while another goes on.
 */
import type { PushId } from './frames';
import type { Token } from './token';

/** The text of a push, or its data: any JSON value. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export type Data = any;

/** Gets the text or the data, the push_id, and the identifier as the page spelled it. */
export type Callback = (data: Data, id: PushId, identifier: string) => void;

/** One identifier, several, or each with the internal id after which it starts. */
export type Identifiers = string | readonly string[] | Readonly<Record<string, number | string>>;

/** The part of a group that goes over the wire. */
export interface Asked {
  /** In the spelling and order of the page, because a secureKey signs both. */
  identifiers: string[] | Record<string, number | string>;
  secureKey?: string | undefined;
  /** The token in use. */
  token?: string | undefined;
  /** The cursor: undefined until the server has given the first. */
  position?: number | undefined;
}

export interface Group extends Asked {
  /** The position after which the page asked to begin. */
  since?: number | undefined;
  /** From the wire's lower case to the page's spelling, without the identifiers that the page dropped. */
  spelling: Map<string, string>;
  /** The page's source of its tokens. */
  source?: Token | undefined;
  /** The time at which the next token is due. Undefined before the first. */
  renewAt?: number | undefined;
  /** The question to the source that has not been answered yet. */
  question?: Promise<string | null | undefined> | undefined;
  /** Questions in a row that failed. */
  failures?: number;
  /** The token with which the server last joined the group. */
  accepted?: string | undefined;
  /** The groups before it left too little room for it. It joins when there is room. */
  isRefused?: boolean;
  /** A gap was told, so the next position is taken even if it is lower. */
  isGap?: boolean;
  /** The server has joined the group on this connection, so that heartbeats speak for it too. */
  joined?: boolean;
}

/** True if a group has yet to be given its first cursor. */
export function isAnyJoining(groups: Group[]): boolean {
  return groups.some((group) => group.position === undefined);
}

function wishOf({ identifiers, secureKey, since }: Group): string {
  return JSON.stringify([identifiers, secureKey, since]);
}

/**
 * True if the group brings everything that is wished for, and perhaps pushes before it. A new wish with
 * internal ids wants a replay, which a group that has begun does not bring. A wish may also
 * begin above the cursor of a joined group. Only the server knows whether such a position exists.
 */
export function brings(group: Group, wish: Group): boolean {
  if (wishOf(group) !== wishOf(wish) || group.isGap || group.isRefused) return false;
  const { position, joined } = group;
  if (wish.position === undefined) return position === undefined || Array.isArray(wish.identifiers);
  return wish.position === position || (!joined && wish.position > (position as number));
}

/** True if the group wants the public pushes from now on, or from a position on, as everybody may. */
export function isPublic({ identifiers, secureKey, token }: Asked): boolean {
  return Array.isArray(identifiers) && !secureKey && !token;
}

/** True if the server allows an identifier, by its spelling or length, to accounts with extended ones only. */
export function isExtended({ identifiers }: Asked): boolean {
  return /[.-]|\w{61}/.test(JSON.stringify(identifiers));
}

/** The frame that joins all groups at once, each where it left off. */
export function listenFrame(listener: string, groups: Group[]): string {
  return JSON.stringify({
    type: 'listen',
    listener,
    groups: groups.map(({ identifiers, secureKey, token, position }) => ({
      identifiers,
      secureKey,
      token,
      position,
    })),
  });
}
