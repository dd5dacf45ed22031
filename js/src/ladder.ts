/**
 * The transports as a ladder: the first rung is the best transport, and a lost connection decides
 * between staying on the rung and stepping on to the next one.
 *
 * A transport that works on one network may be blocked on another, and one that is blocked often
 * connects before it is cut. So a transport must prove itself by staying connected for a while. With
 * proof it is kept through losses, because then the network is at fault. Without proof it is left
 * after some losses, and at once if it never connected.
 */
import { BACK_TO_FIRST, FAILURES_TO_TELL, LOSSES_TO_LEAVE } from './timing';
import type { Way } from './transport';

export interface Ladder {
  current(): Way;
  /** Starts at this place of the list, or at the first if there is no such place. */
  startAt(rung: number | undefined, now: number): void;
  /** Back to the first transport, because nothing learned so far counts any longer. */
  startOver(): void;
  /** The current transport has been connected for long enough to be trusted. */
  prove(): void;
  /** A connection works, so the row of failures ends. */
  succeed(): void;
  /** Notes a lost connection, and steps on if the transport is to be left. True if it is kept. */
  lose(wasConnected: boolean, now: number): boolean;
  /** Every transport has failed since the last success. */
  isExhausted(): boolean;
  /** The page should hear that the server cannot be reached. */
  isUnreachable(): boolean;
  /** A later transport has been in use for so long that the first may work by now. */
  isTooLongBelow(now: number): boolean;
}

/** `transports` is read again each time, because it may change until the listener starts. */
export function createLadder(transports: Way[]): Ladder {
  let rung = 0;
  /** The time at which the first transport was left. */
  let leftFirstAt = 0;
  let isProven = false;
  /** Connections in a row that the current transport lost before it had proven itself. */
  let earlyLosses = 0;
  /** Failures since the last connection that worked. */
  let failures = 0;

  function distrust(): void {
    isProven = false;
    earlyLosses = 0;
  }

  function stepOn(now: number): void {
    distrust();
    rung = (rung + 1) % transports.length;
    if (rung === 1) leftFirstAt = now;
  }

  return {
    current: () => transports[rung] as Way,
    startAt(first, now) {
      rung = transports[first as number] ? (first as number) : 0;
      leftFirstAt = now;
    },
    startOver() {
      distrust();
      rung = failures = 0;
    },
    prove() {
      isProven = true;
    },
    succeed() {
      failures = 0;
    },
    lose(wasConnected, now) {
      failures++;
      // Proven or not: a transport that fails so often may be blocked by now, as on another network.
      if (failures >= FAILURES_TO_TELL) distrust();
      const isKept = isProven || (wasConnected && ++earlyLosses < LOSSES_TO_LEAVE);
      if (!isKept) stepOn(now);
      return isKept;
    },
    isExhausted: () => failures >= transports.length,
    isUnreachable: () => failures >= FAILURES_TO_TELL,
    isTooLongBelow: (now) => rung > 0 && now - leftFirstAt >= BACK_TO_FIRST,
  };
}
