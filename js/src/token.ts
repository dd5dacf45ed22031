/** The tokens of a page: where they come from, and when the next one is to be asked for. */
import type { Group } from './group';

/** A JWT; a promise of one; or a function that gives either, and is asked again before it expires. */
export type Token = string | Promise<string> | (() => string | Promise<string>);

/** A question to the page that has no answer yet. */
export interface TokenQuestion {
  answer: Promise<unknown>;
  askedAt: number;
}

/** A token is renewed this long before it expires, or halfway if it lives shorter than twice that. */
const MARGIN = 30_000;

/** A token is not renewed more often than this, in case the page gives the same one again. */
const SHORTEST_LIFE = 3_000;

/** A page that has not answered for so long is asked again. */
export const TOKEN_PATIENCE = 10_000;

/**
 * The milliseconds that a JWT has left by this machine's clock. NaN if it does not say, or says it in
 * a way that cannot be read here. Whether the token is right is for the server to decide.
 */
export function timeLeft(token: string): number {
  try {
    const payload = (token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(atob(payload)).exp * 1000 - Date.now();
  } catch {
    return NaN;
  }
}

/** True if a new token should be asked for. A group without a source has no `renewAt`. */
export function isDue({ renewAt }: Group): boolean {
  return renewAt !== undefined && Date.now() >= renewAt;
}

/** The server refused a token. Makes all of them due. False if there is nothing to ask for another. */
export function markRefused(groups: Group[]): boolean {
  const renewable = groups.filter(({ source }) => source);
  for (const group of renewable) group.renewAt = 0;
  return renewable.length > 0;
}

/**
 * The question that is on its way, or else a new one. A reconnect may need a token at the very moment
 * that one is being renewed, and a page that pays for each token should not be asked twice.
 */
function ask(group: Group): TokenQuestion {
  const { question, source } = group;
  if (question && Date.now() - question.askedAt < TOKEN_PATIENCE) return question;
  const answer = new Promise((resolve) => {
    resolve(typeof source === 'function' ? source() : source);
  });
  group.question = { answer, askedAt: Date.now() };
  return group.question;
}

async function renewOne(group: Group): Promise<void> {
  const question = ask(group);
  try {
    // The server refuses a token that is wrong. Whether it has expired depends on a clock that may be off.
    const token = `${await question.answer}`;
    const left = timeLeft(token);
    const wait = Math.max(left / 2, left - MARGIN, SHORTEST_LIFE);
    group.renewAt = left > 0 ? Date.now() + wait : Infinity;
    group.token = token;
  } finally {
    // Only its own: a late answer must not end a question that was asked since.
    if (group.question === question) group.question = undefined;
  }
}

/** Asks for every token that is due. Rejects with the first error that the page's code threw. */
export async function renew(groups: Group[]): Promise<void> {
  await Promise.all(groups.filter(isDue).map(renewOne));
}
