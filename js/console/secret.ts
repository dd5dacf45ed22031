/**
 * The secret of an account, as the reader typed it: kept in the memory of this page alone, and never
 * sent. The page signs with it.
 */
import { send } from './ask';

/** Seconds for which a token of the live tail is valid. It is made again by itself. */
const LIFE = 600;

/** A secret to sign with, or a token that somebody else has signed. */
export interface Right {
  kind: 'secret' | 'token';
  value: string;
}

const rights = new Map<string, Right>();

export function rightTo(account: string): Right | undefined {
  return rights.get(account);
}

export function keepRight(account: string, right: Right | undefined): void {
  if (right) rights.set(account, right);
  else rights.delete(account);
}

/** Browsers sign on pages of HTTPS and of the reader's own machine alone. */
export const canSign = typeof crypto === 'object' && crypto.subtle !== undefined;

const encoder = new TextEncoder();

async function hmac(secret: string, text: string): Promise<Uint8Array> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, [
    'sign',
  ]);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function base64url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function part(value: unknown): string {
  return base64url(encoder.encode(JSON.stringify(value)));
}

/** A token for one identifier: the one that was typed, or one that is signed now. */
export async function tokenFor(right: Right, identifier: string): Promise<string> {
  if (right.kind === 'token') return right.value;
  const now = Math.floor(Date.now() / 1000);
  const claims = { iat: now, exp: now + LIFE, identifiers: [identifier] };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${base64url(await hmac(right.value, signed))}`;
}

/** Pushes, by a request that is signed here and sent to the admin endpoint. */
export async function push<Answer>(
  account: string,
  identifier: string,
  secret: string,
  fields: Record<string, unknown>,
): Promise<Answer> {
  const path = `/${account}/push/${identifier}`;
  const body = JSON.stringify(fields);
  const kind = 'application/json';
  const time = `${Math.floor(Date.now() / 1000)}`;
  const nonce = hex(crypto.getRandomValues(new Uint8Array(16)));
  const digest = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(body))));
  const lines = ['v2', 'POST', path, time, nonce, kind, '', digest];
  const headers = {
    'Content-Type': kind,
    'Cometify-Timestamp': time,
    'Cometify-Nonce': nonce,
    'Cometify-Signature': hex(await hmac(secret, lines.join('\n'))),
  };
  return send(path, { method: 'POST', headers, body });
}
