/**
 * A group is what a listener asks for in one go: identifiers, the key made for exactly that list,
 * and where to resume. Each has its own cursor, so that one can join while another goes on.
 */
import type { PushId } from './frames';

/** What a page is called back with: the text, its push_id, and the identifier as the page spelled it. */
export type Callback = (data: string, id: PushId, identifier: string) => void;

export interface Group {
  /** As the page wrote them, in its order: a secureKey signs this spelling and this order. */
  identifiers: string[] | Record<string, number | string>;
  /** From the wire's lower case to the page's spelling. */
  spelling: Map<string, string>;
  secureKey: string | undefined;
  /** A function, or the dotted name of a global one. */
  callback: Callback | string;
  /** The cursor: undefined until the server has given the first. */
  position?: number | undefined;
  /** A gap was told: the next position is taken, lower or not. */
  gap?: boolean;
}

/** The frame that joins all groups at once, each where it left off. */
export function listenFrame(listener: string, groups: Group[]): string {
  return JSON.stringify({
    type: 'listen',
    listener,
    groups: groups.map(({ identifiers, secureKey, position }) => ({
      identifiers,
      secureKey,
      position,
    })),
  });
}
