/**
 * The account that a visitor typed in, and the signatures made with it.
 *
 * Nothing that is typed here is stored or put into an address. The API secret is read from its field
 * when an MD5 is made with it, and goes nowhere else.
 */
import { find } from './elements.js';
import { md5hex } from './md5.js';

const API_KEY = /^[\w-]{1,64}$/;

export const isApiKey = (text) => API_KEY.test(text);

export const account = {
  get apiKey() {
    return find('api-key').value.trim();
  },
  get apiSecret() {
    return find('api-secret').value;
  },
  /** The origin of the server, or '' while the field does not hold one. */
  get server() {
    try {
      const { protocol, origin } = new URL(find('server').value.trim());
      return /^https?:$/.test(protocol) ? origin : '';
    } catch {
      return '';
    }
  },
};

/** The identifiers in a list as it was typed, without the blanks around them. */
export const listed = (value) =>
  value
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);

/** The key to the secret pushes of these identifiers. */
export const makeSecureKey = (identifiers) =>
  md5hex(account.apiKey + account.apiSecret + md5hex(identifiers.join(',')));

/** The signature of a push. */
export const makeSecure = (identifier, text) =>
  md5hex(account.apiKey + md5hex(account.apiSecret) + identifier + text);

/** Takes the API key from `#key=…` in the address. True if there was one. */
export function takeKeyFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get('key') ?? '';
  if (!isApiKey(key)) return false;
  find('api-key').value = key;
  return true;
}
