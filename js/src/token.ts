/** Where a page's tokens come from, and when the next is to be asked for. */
import type { Group } from './group';

/** A JWT; a promise of one; or a function that gives either, and is asked again before it expires. */
export type Token = string | Promise<string> | (() => string | Promise<string>);

/** The same, as something to ask. */
export type Source = () => string | Promise<string>;

/** A token is renewed so long before it expires, or halfway if it lives shorter than twice that. */
const MARGIN = 30_000;
/** And not more often than this, should the page give the same token again. */
const SOON = 3_000;

/**
 * Milliseconds that a JWT has left by this machine's clock. NaN if it does not say, or in a way that
 * we do not read: whether it is right is the server's business.
 */
export function timeLeft(token: string): number {
  try {
    const payload = (token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(atob(payload)).exp * 1000 - Date.now();
  } catch {
    return NaN;
  }
}

export function isDue({ renewal }: Group): boolean {
  return Date.now() >= (renewal as number);
}

/** The token was refused. True if there is something to ask for another. */
export function expire(group: Group): boolean {
  if (group.source) group.renewal = 0;
  return !!group.source;
}

/**
 * Asks for the tokens that are due. Rejects with what the page's code threw. Whether it gave a token
 * is left to the server to say, and so is one that has expired by a clock that may be wrong.
 */
export async function renew(groups: Group[]): Promise<void> {
  for (const group of groups.filter(isDue)) {
    const token = `${await (group.source as Source)()}`;
    const left = timeLeft(token);
    group.renewal = left > 0 ? Date.now() + Math.max(left / 2, left - MARGIN, SOON) : Infinity;
    group.token = token;
  }
}
