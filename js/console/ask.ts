/** Requests to the admin endpoint, which this page came from. */

/** The server is given up after so many milliseconds without an answer. */
const TIMEOUT = 10_000;

/** A refusal, with the words that say what to do. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    words: string,
  ) {
    super(words);
  }
}

type Query = Record<string, string | number>;

/** Kept in the memory of this page alone. */
let adminToken = '';

export function useAdminToken(token: string): void {
  adminToken = token;
}

function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query).map(([name, value]): [string, string] => [name, `${value}`]);
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** Sends a request, and reads the JSON of its answer. Throws a `Refusal`. */
export async function send<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = new Headers(init.headers);
  if (adminToken) headers.set('Authorization', `Bearer ${adminToken}`);
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers, signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new Refusal('', 'The server does not answer. This page asks again by itself.');
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok)
    throw new Refusal(body.code || '', body.detail || `The server answered ${answer.status}.`);
  return body;
}

export function ask<Answer>(path: string, query: Query = {}): Promise<Answer> {
  return send(withQuery(path, query));
}

/** Sends JSON. */
export function tell<Answer>(
  path: string,
  body: unknown,
  query: Query = {},
  method = 'POST',
): Promise<Answer> {
  const headers = { 'Content-Type': 'application/json' };
  return send(withQuery(path, query), { method, headers, body: JSON.stringify(body) });
}
