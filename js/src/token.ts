/** The tokens of a page: where they come from, and when the next one is to be asked for. */
import type { Group } from './group';

type Given = string | null | undefined;

/**
 * A JWT; a promise of one; or a function that gives either, and is asked again before it expires. Null
 * or an empty text gives no right: the group hears public pushes.
 */
export type Token = string | Promise<Given> | (() => Given | Promise<Given>);

/** A token is renewed this long before it expires, or halfway if it lives shorter than twice that. */
const MARGIN = 30_000;

/** A token is not renewed more often than this, in case the page gives the same one again. */
const SHORTEST_LIFE = 3_000;

/** A page that has not answered for so long has failed to. */
export const TOKEN_PATIENCE = 10_000;

/** After a failure the page is asked again this much later. Each further delay is twice as long. */
const FIRST_REPEAT = 1_000;

const LONGEST_REPEAT = 60_000;

/**
 * The milliseconds that a JWT has left by this machine's clock. NaN if it does not say, and undefined if
 * it cannot be read here. The server decides whether the token is right.
 */
export function timeLeft(token: string): number | undefined {
  try {
    const payload = (token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(atob(payload)).exp * 1000 - Date.now();
  } catch {
    return undefined;
  }
}

/** True if a new token should be asked for. The first is due at once. */
export function isDue({ source, renewAt = 0 }: Group): boolean {
  return !!source && Date.now() >= renewAt;
}

/** The server refused a token. Makes all of them due at `time`. False if there is nothing to ask for another. */
export function markRefused(groups: Group[], time: number): boolean {
  const renewable = groups.filter(({ source }) => source);
  for (const group of renewable) {
    group.renewAt = time;
    group.token = undefined;
  }
  return renewable.length > 0;
}

/** The time that the token of a group has left. Less than nothing if the server has never accepted it. */
export function trust({ token, accepted }: Group): number {
  return token === accepted ? timeLeft(token as string) || 0 : -Infinity;
}

/**
 * The server refused two tokens in a row, and does not say whose. The group that is trusted least loses
 * its right, and the page is not asked for another token, because each would cost all groups the
 * connection. Undefined if no group has a token of its own.
 */
export function dropRefused(groups: Group[]): Group | undefined {
  const [group] = groups
    .filter(({ source, token }) => source && token)
    .sort((a, b) => trust(a) - trust(b));
  if (group) group.token = undefined;
  return group;
}

async function call(source: Token | undefined): Promise<Given> {
  return typeof source === 'function' ? source() : source;
}

/** An answer of the page. Rejects if it takes too long. */
function ask(source: Token | undefined): Promise<Given> {
  return new Promise((resolve, reject) => {
    setTimeout(reject, TOKEN_PATIENCE, `no answer in ${TOKEN_PATIENCE / 1000} s`);
    call(source).then(resolve, reject);
  });
}

/** True if there is a new token. `fail` is told of the error that the page's code threw. */
async function renewOne(
  group: Group,
  fail: (group: Group, thrown: unknown) => void,
): Promise<boolean> {
  // A reconnect may need a token at the very moment that one is being renewed, and a page that pays for
  // each token should not be asked twice.
  const question = group.question || ask(group.source);
  group.question = question;
  try {
    // The server refuses a token that is wrong. Whether it has expired depends on a clock that may be off.
    const given = await question;
    const token = given ? `${given}` : undefined;
    const left = timeLeft(token as string) as number;
    const wait = Math.max(left / 2, left - MARGIN, SHORTEST_LIFE);
    const isNew = token !== group.token;
    group.renewAt = left > 0 ? Date.now() + wait : Infinity;
    group.token = token;
    group.failures = 0;
    return isNew;
  } catch (thrown) {
    if (group.question === question) {
      const { failures = 0 } = group;
      group.failures = failures + 1;
      group.renewAt = Date.now() + Math.min(FIRST_REPEAT * 2 ** failures, LONGEST_REPEAT);
      fail(group, thrown);
    }
    return false;
  } finally {
    // Only its own: a late answer must not end a question that was asked since.
    if (group.question === question) group.question = undefined;
  }
}

/** Asks for every token that is due. True if one of them is new. A group that gets none joins without. */
export async function renew(
  groups: Group[],
  fail: (group: Group, thrown: unknown) => void,
): Promise<boolean> {
  const renewals = groups.filter(isDue).map((group) => renewOne(group, fail));
  return (await Promise.all(renewals)).includes(true);
}
