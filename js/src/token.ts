/** Where a page's tokens come from, and when the next is to be asked for. */
import type { Group } from './group';

/** A JWT; a promise of one; or a function that gives either, and is asked again before it expires. */
export type Token = string | Promise<string> | (() => string | Promise<string>);

/** A token is renewed so long before it expires, or halfway if it lives shorter than twice that. */
const MARGIN = 30_000;

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

/** One that has expired by a clock that may be wrong is left to the server to refuse. */
function renewalOf(token: string): number {
  const left = timeLeft(token);
  return left > 0 ? Date.now() + Math.max(left / 2, left - MARGIN) : Infinity;
}

export function isDue({ source, renewal }: Group): boolean {
  return !!source && !(Date.now() < (renewal as number));
}

/** Only a function can give another token than the one that was refused. True if it will be asked. */
export function expire(group: Group): boolean {
  const asks = typeof group.source === 'function';
  if (asks) group.renewal = 0;
  return asks;
}

/** Asks for the tokens that are due. Rejects with what the page's code threw, or with what was wrong. */
export async function renew(groups: Group[]): Promise<void> {
  for (const group of groups.filter(isDue)) {
    const { source } = group;
    const token = await (typeof source === 'function' ? source() : source);
    if (!token || typeof token !== 'string') throw 'it gave no string';
    group.token = token;
    group.renewal = typeof source === 'function' ? renewalOf(token) : Infinity;
  }
}
