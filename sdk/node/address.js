/** The URL of an account: `https://KEY:SECRET@push.example.org`. */
import { check } from './errors.js';

const FORM =
  /^(https?):\/\/([\w-]{1,64}):([^@/?#[\]\s]+)@([\w.-]+|\[[\dA-Fa-f:.]+\])(?::(\d{1,5}))?((?:\/[\w.~!$&'()*+,;=:@%-]*)*)(?:\?bearer=([01]))?$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i;
/** A value that a header can have. */
export const HEADER = /^[!-~]([ -~]*[!-~])?$/;

/**
 * @typedef {object} Address
 * @property {boolean} isSecure
 * @property {string} hostname Without the brackets of an IPv6 address.
 * @property {number} port
 * @property {string} prefix The path below which a proxy has the server. Empty if there is none.
 * @property {string} server The scheme, the host, the port and the prefix, as people read them.
 * @property {string} apiKey
 * @property {string} apiSecret
 * @property {boolean} bearer Send the API secret itself instead of signatures.
 */

/**
 * Read the URL of an account. An error never repeats the secret.
 *
 * @param {string} url
 * @param {boolean} wantsBearer
 * @returns {Address}
 */
export function readUrl(url, wantsBearer) {
  const [, scheme, apiKey = '', encoded = '', host = '', given, path = '', chosen] =
    FORM.exec(url) ?? [];
  const apiSecret = decoded(encoded);
  check(
    apiSecret,
    'invalid_url',
    'The URL (COMETIFY_URL) must be https://KEY:SECRET@push.example.org. ' +
      'In the secret, percent-encode @ / ? # [ ] % and spaces.',
  );
  const isSecure = scheme === 'https';
  const prefix = path.replace(/\/+$/, '');
  const server = `${scheme}://${host}${given === undefined ? '' : `:${given}`}${prefix}`;
  const bearer = chosen === undefined ? wantsBearer : chosen === '1';
  check(
    !bearer || isSecure || LOOPBACK.test(host),
    'invalid_url',
    `The API secret itself is not sent to ${server}, because others can read it on the way. ` +
      'Use https, or leave bearer out: then requests are signed.',
  );
  check(
    !bearer || HEADER.test(apiSecret),
    'invalid_url',
    'This API secret cannot stand in a header, because it has characters that are not printable ASCII. ' +
      'Leave bearer out: then requests are signed.',
  );
  const hostname = host.replace(/[[\]]/g, '');
  const port = given === undefined ? (isSecure ? 443 : 80) : Number(given);
  return { isSecure, hostname, port, prefix, server, apiKey, apiSecret, bearer };
}

/**
 * @param {string} text
 * @returns {string} Empty if it is not well encoded.
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
