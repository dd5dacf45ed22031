/**
 * The machine's knowledge of one connection. A connection is one attempt: a WebSocket, one streamed
 * answer, or one poll.
 */
import type { Group } from './group';

export interface Connection {
  /** The groups of the last `listen`. */
  asked: Group[];
  /** The groups of each `listen` that no `ready` has answered yet, oldest first. */
  unanswered: Group[][];
  /** The server has accepted the listener on this connection. */
  hasBegun?: boolean;
  /** No frame is expected soon: a resuming poll is silent until there is a push. */
  isPatient: boolean;
  /** The connection has brought a first cursor, a push or a gap. */
  isFruitful?: boolean;
  openedAt: number;
  /** The time of the last frame that showed life. */
  heardAt?: number;
}

export function createConnection(asked: Group[], isPatient: boolean, now: number): Connection {
  return {
    asked,
    unanswered: [asked],
    isPatient,
    openedAt: now,
  };
}

/**
 * True if this group cannot be added to the connection by another `listen`. An identifier that is
 * joined already goes on where it is. So a group that has such an identifier and begins elsewhere
 * would miss its replay. One that begins at the cursor of the group before it misses nothing. A group
 * that was refused is not joined, although it was asked for.
 */
export function needsOwnConnection(group: Group, { asked }: Connection): boolean | undefined {
  const beginsElsewhere = !Array.isArray(group.identifiers) || group.position !== undefined;
  return (
    beginsElsewhere &&
    (!asked.includes(group) || group.isRefused) &&
    asked.some(
      ({ spelling, position }) =>
        (!position || position !== group.position) &&
        [...spelling.keys()].some((name) => group.spelling.has(name)),
    )
  );
}
