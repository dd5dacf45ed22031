/**
 * The check of a webhook: its signature and its age.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { timingSafeEqual } from 'node:crypto';
import { check } from './errors.js';
import { signature } from './requests.js';

const OLDEST = 300;

/**
 * The events of a request that one of the secrets has signed.
 *
 * Throws a `CometifyError`: not_authorized, whatever a stranger has sent, and invalid_parameter if an argument is of
 * another type, or a secret is empty.
 *
 * @param {string[]} apiSecrets
 * @param {string} path
 * @param {Record<string, string | string[] | undefined>} headers
 * @param {Uint8Array | string} body
 * @returns {import('./index.js').WebhookEvent[]}
 */
export function verifiedEvents(apiSecrets, path, headers, body) {
  // Everybody can sign with an empty secret.
  checkArgument(
    apiSecrets.every((apiSecret) => typeof apiSecret === 'string' && apiSecret !== ''),
    'otherSecret must be a string that is not empty: leave it out if there is no other secret.',
  );
  checkArgument(typeof path === 'string', 'path must be a string: the path of the request.');
  checkArgument(headers !== null && typeof headers === 'object', 'headers must be an object.');
  const isBody = typeof body === 'string' || body instanceof Uint8Array;
  checkArgument(isBody, 'body must be the bytes of the request, as they came.');
  const header = (/** @type {string} */ name) => {
    const value = headers[name];
    return typeof value === 'string' ? value : '';
  };
  const timestamp = header('cometify-timestamp');
  const given = Buffer.from(header('cometify-signature'), 'hex');
  const fits = apiSecrets.map((apiSecret) => {
    const expected = signature({
      apiSecret,
      method: 'POST',
      path: path.split('?')[0] ?? '',
      timestamp,
      nonce: header('cometify-nonce'),
      contentType: header('content-type'),
      idempotencyKey: header('idempotency-key'),
      body,
    });
    const bytes = Buffer.from(expected, 'hex');
    return given.length === bytes.length && timingSafeEqual(given, bytes);
  });
  check(
    fits.includes(true),
    'not_authorized',
    'The signature does not match: answer 403. If it comes from your server, compare the API secret, and give the path and the bytes of the body as they came.',
  );
  const isNew = Math.abs(Date.now() / 1000 - Number(timestamp)) <= OLDEST;
  const detail = 'The request is too old or too new: answer 403, and compare the clocks.';
  check(isNew, 'not_authorized', detail);
  return eventsOf(Buffer.from(body).toString());
}

/** @param {string} text */
function eventsOf(text) {
  let events;
  try {
    events = JSON.parse(text);
  } catch {
    events = undefined;
  }
  check(
    Array.isArray(events) && events.every(isObject),
    'not_authorized',
    'The body is signed and is no list of events: answer 403, and give the path of the webhook alone.',
  );
  return events;
}

/** @param {unknown} value */
function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/**
 * @param {boolean} isRight
 * @param {string} detail
 */
function checkArgument(isRight, detail) {
  check(isRight, 'invalid_parameter', detail);
}
