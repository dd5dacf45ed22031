/** Every duration (in milliseconds) and every count by which the machine and its attempts decide. */

/** A transport without a first frame by then is blocked, or buffered by something on the way. */
export const FIRST_FRAME_TIMEOUT = 5_000;

/** The heartbeat to expect until the server has told its own. */
export const DEFAULT_HEARTBEAT = 25_000;

/** A connection that is silent for the heartbeat and this is dead. */
export const HEARTBEAT_GRACE = 10_000;

/** A heartbeat this late makes a connection suspect when there is a reason to look. */
export const HEARTBEAT_SUSPECT = 2_000;

/** A transport that was connected for this long has proven itself. */
export const PROOF = 5_000;

/** A transport without proof is left when it has lost so many connections in a row. */
export const LOSSES_TO_LEAVE = 3;

/**
 * An HTTP answer that ended sooner than this and brought nothing is not asked for again at once.
 * The value is well below the shortest heartbeat, after which a poll of a quiet identifier ends.
 */
export const EMPTY_ANSWER = 500;

/** The longest first delay before the next attempt. Each further delay may be twice as long. */
export const FIRST_DELAY = 1_000;

/** No delay is longer, however many attempts have failed. */
export const LONGEST_DELAY = 30_000;

/** After this long on a later transport the first is tried again, when nothing is interrupted. */
export const BACK_TO_FIRST = 600_000;

/** The page is told after so many failures in a row: each transport once, or a loss and three attempts. */
export const FAILURES_TO_TELL = 4;
