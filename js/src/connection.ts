/**
 * The machine's knowledge of one connection, which is one attempt: a WebSocket, one streamed answer,
 * or one poll.
 */
import type { Group } from './group';
import { EMPTY_ANSWER, HEARTBEAT_SUSPECT } from './timing';

export interface Connection {
  /** The groups of the last `listen`. */
  asked: Group[];
  /** The groups of each `listen` that no `ready` has answered yet, oldest first. */
  unanswered: Group[][];
  /** The server has accepted the listener on this connection. */
  hasBegun: boolean;
  /** No frame is expected soon: a resuming poll is silent until there is a push. */
  isPatient: boolean;
  /** Something was brought: a first cursor, a push or a gap. */
  isFruitful: boolean;
  openedAt: number;
  /** The time of the last frame that showed life. */
  heardAt: number;
}

export function createConnection(asked: Group[], isPatient: boolean, now: number): Connection {
  return {
    asked,
    unanswered: [asked],
    hasBegun: false,
    isPatient,
    isFruitful: false,
    openedAt: now,
    heardAt: now,
  };
}

/** The next sign of life is late, though not so late that the connection is given up by itself. */
export function isSuspect(connection: Connection, heartbeat: number, now: number): boolean {
  return connection.hasBegun && now - connection.heardAt > heartbeat + HEARTBEAT_SUSPECT;
}

/** Its answer may end now: the server accepted the listener, and brought something or kept it waiting. */
export function hasServed(connection: Connection, now: number): boolean {
  const { hasBegun, isPatient, isFruitful, openedAt } = connection;
  return (hasBegun || isPatient) && (isFruitful || now - openedAt >= EMPTY_ANSWER);
}

/**
 * True if this group cannot be added to the connection by another `listen`. The server lets an
 * identifier that is joined already go on where it is, so a group that begins elsewhere with such an
 * identifier would miss its replay.
 */
export function needsOwnConnection(group: Group, { asked }: Connection): boolean {
  const beginsElsewhere = !Array.isArray(group.identifiers) || group.position !== undefined;
  const isJoined = (name: string) => asked.some(({ spelling }) => spelling.has(name));
  return beginsElsewhere && !asked.includes(group) && [...group.spelling.keys()].some(isJoined);
}
