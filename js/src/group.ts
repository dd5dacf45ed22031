/**
 * A group is what a listener asks for in one go: identifiers, the key made for exactly that list,
 * and where to resume. Each has its own cursor, so that one can join while another goes on.
 */
import type { PushId } from './frames';
import type { Source } from './token';

/** What a page is called back with: the text, its push_id, and the identifier as the page spelled it. */
export type Callback = (data: string, id: PushId, identifier: string) => void;

/** What a page listens to: one, several, or each with the internal id after which it starts. */
export type Identifiers = string | readonly string[] | Readonly<Record<string, number | string>>;

/** What of a group goes over the wire. */
export interface Asked {
  /** As the page wrote them, in its order: a secureKey signs this spelling and this order. */
  identifiers: string[] | Record<string, number | string>;
  secureKey?: string | undefined;
  /** The one in use. */
  token?: string | undefined;
  /** The cursor: undefined until the server has given the first. */
  position?: number | undefined;
}

export interface Group extends Asked {
  /** From the wire's lower case to the page's spelling; without those that the page has dropped. */
  spelling: Map<string, string>;
  /** A function, or the dotted name of a global one. */
  callback?: Callback | string;
  /** Where tokens come from. */
  source?: Source | null | undefined | '';
  /** When the next token is asked for. */
  renewal?: number | undefined;
  /** A gap was told: the next position is taken, lower or not. */
  isGap?: boolean;
  /** The server has it on this connection, so that heartbeats speak for it too. */
  joined?: boolean;
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
