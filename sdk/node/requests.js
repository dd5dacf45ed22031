/**
 * Requests to one server, sent again until an answer comes or the time is up.
 *
 * - A call has one deadline for all its tries. A try may use half of the time that is left. So if a connection
 *   hangs, there is time for another one.
 * - All tries of a push have one Idempotency-Key, because the server may have made the push although no answer
 *   came.
 */
import { createHash, createHmac, randomBytes, randomInt } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { CometifyError, MaybePushed } from './errors.js';

const JSON_TYPE = 'application/json';
/** Milliseconds before the second try, and at most before a later one. Each is about twice the one before. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1000;
/** Milliseconds below which no further try is made. */
const SHORTEST_TRY = 100;
/** Milliseconds of a call at most, 24 days. A timer with more fires at once. */
const LONGEST_CALL = 2 ** 31 - 1;
/** Statuses after which the request is sent again. After 429 it is too, if there is a Retry-After. */
const AGAIN = [500, 502, 503, 504];
/** Codes with which nothing was pushed, although their status is one of these. */
const UNPUSHED = ['overloaded', 'draining'];
/** Errors of TLS that another try meets again. */
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_/;

/**
 * @template T
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path Below the API key, percent-encoded, with its query.
 * @property {(answer: any) => T | undefined} read Makes the result of the answer's JSON. Undefined: it is none.
 * @property {unknown} [value] The body.
 * @property {string} [key] The Idempotency-Key.
 */

/**
 * The reason why a try has failed.
 *
 * - `isLost`: the request may have been carried out.
 * - `isAway`: the server has not looked at it, or another answered, such as a proxy. So the tries before it stay
 *   in doubt. A refusal of the server ends all doubt, because it would have answered with the result of such a try.
 *
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} detail
 * @property {number} [status]
 * @property {number} [retryAfter]
 * @property {boolean} canRetry
 * @property {boolean} isLost
 * @property {boolean} isAway
 */

/** @typedef {{status: number, retryAfter: number | undefined, text: string}} Answer */

/**
 * The signature v2 of a request. `contentType`, `idempotencyKey`: as sent, empty if they are not sent.
 *
 * @param {{apiSecret: string, method: string, path: string, timestamp: string, nonce: string, contentType: string,
 *   idempotencyKey: string, body: string | Uint8Array}} request
 */
export function signature({
  apiSecret,
  method,
  path,
  timestamp,
  nonce,
  contentType,
  idempotencyKey,
  body,
}) {
  const hash = createHash('sha256').update(body).digest('hex');
  const signed = ['v2', method, path, timestamp, nonce, contentType, idempotencyKey, hash].join(
    '\n',
  );
  return createHmac('sha256', apiSecret).update(signed).digest('hex');
}

export class Requests {
  #address;
  #timeout;
  #agent;

  /**
   * @param {import('./address.js').Address} address
   * @param {number} timeout Milliseconds.
   */
  constructor(address, timeout) {
    this.#address = address;
    this.#timeout = Math.min(timeout, LONGEST_CALL);
    this.#agent = new (address.isSecure ? https : http).Agent({ keepAlive: true });
  }

  /**
   * @template T
   * @param {Call<T>} call
   * @returns {Promise<T>}
   */
  async carryOut(call) {
    const body = call.value === undefined ? '' : written(call.value);
    const end = performance.now() + this.#timeout;
    let pause = FIRST_PAUSE;
    let inDoubt = false;
    for (;;) {
      const left = end - performance.now();
      const reply = await this.#exchange(
        call,
        body,
        Math.max(left / 2, Math.min(left, SHORTEST_TRY)),
      );
      const outcome = 'text' in reply ? this.#read(call, reply) : reply;
      if ('result' in outcome) return outcome.result;
      inDoubt = outcome.isLost || (inDoubt && outcome.isAway);
      const { code, detail, status, retryAfter, canRetry } = outcome;
      const wait =
        retryAfter === undefined ? (pause * randomInt(50, 100)) / 100 : retryAfter * 1000;
      if (!canRetry || performance.now() + wait + SHORTEST_TRY > end) {
        const Kind = inDoubt && call.key ? MaybePushed : CometifyError;
        throw new Kind(code, detail, { status, retryAfter, idempotencyKey: call.key });
      }
      await sleep(wait);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  /** Close the connections that are kept. */
  close() {
    this.#agent.destroy();
  }

  /**
   * One try.
   *
   * @param {Call<any>} call
   * @param {string} body
   * @param {number} milliseconds
   * @returns {Promise<Answer | Failure>}
   */
  #exchange({ method, path, key }, body, milliseconds) {
    const { isSecure, hostname, port, prefix, apiKey } = this.#address;
    return new Promise((resolve) => {
      let isSent = false;
      const target = `/${apiKey}${path}`;
      const request = (isSecure ? https : http).request({
        agent: this.#agent,
        method,
        hostname,
        port,
        path: prefix + target,
        headers: this.#headers(method, target, body, key),
      });
      const timer = setTimeout(() => request.destroy(new Error('the time is up')), milliseconds);
      const fail = (/** @type {Error & {code?: string}} */ error) => {
        clearTimeout(timer);
        resolve(this.#noAnswer(error, isSent));
      };
      request.on('error', fail);
      request.on('socket', (/** @type {import('node:tls').TLSSocket} */ socket) => {
        isSent = request.reusedSocket;
        if (isSent) return;
        socket.once(isSecure ? 'secureConnect' : 'connect', () => {
          isSent = true;
        });
      });
      request.on('response', (response) => {
        /** @type {Buffer[]} */
        const parts = [];
        response.on('error', fail);
        response.on('data', (part) => parts.push(part));
        response.on('end', () => {
          clearTimeout(timer);
          const after = response.headers['retry-after'] ?? '';
          const retryAfter = /^\d{1,8}$/.test(after) ? Number(after) : undefined;
          resolve({
            status: response.statusCode ?? 0,
            retryAfter,
            text: Buffer.concat(parts).toString(),
          });
        });
      });
      request.end(body);
    });
  }

  /**
   * @param {string} method
   * @param {string} target
   * @param {string} body
   * @param {string} [idempotencyKey]
   */
  #headers(method, target, body, idempotencyKey) {
    const { apiSecret, bearer } = this.#address;
    /** @type {Record<string, string | number>} */
    const headers = { 'User-Agent': 'cometify-node' };
    if (method === 'POST') {
      headers['Content-Type'] = JSON_TYPE;
      headers['Content-Length'] = Buffer.byteLength(body);
    }
    if (idempotencyKey) headers['Idempotency-Key'] = idempotencyKey;
    if (bearer) return { ...headers, Authorization: `Bearer ${apiSecret}` };
    const timestamp = String(Math.floor(Date.now() / 1000));
    const nonce = randomBytes(16).toString('hex');
    // A proxy takes the prefix away, so the server sees the path without it. That path is signed.
    const path = target.replace(/\?.*/, '');
    const contentType = method === 'POST' ? JSON_TYPE : '';
    const key = idempotencyKey ?? '';
    const request = {
      apiSecret,
      method,
      path,
      timestamp,
      nonce,
      contentType,
      idempotencyKey: key,
      body,
    };
    return {
      ...headers,
      'Cometify-Timestamp': timestamp,
      'Cometify-Nonce': nonce,
      'Cometify-Signature': signature(request),
    };
  }

  /**
   * @param {Error & {code?: string}} error
   * @param {boolean} isSent
   * @returns {Failure}
   */
  #noAnswer({ code = '', message }, isSent) {
    const { server } = this.#address;
    const why = message || code;
    const unreachable = { code: 'unreachable', isLost: false, isAway: true };
    if (UNTRUSTED.test(code)) {
      return { ...unreachable, detail: `${server} is not trusted: ${why}.`, canRetry: false };
    }
    if (!isSent) {
      return { ...unreachable, detail: `${server} cannot be reached: ${why}.`, canRetry: true };
    }
    const detail = `${server} gave no whole answer: ${why}.`;
    return { code: 'no_answer', detail, canRetry: true, isLost: true, isAway: true };
  }

  /**
   * @template T
   * @param {Call<T>} call
   * @param {Answer} answer
   * @returns {Failure | {result: T}}
   */
  #read({ read }, { status, retryAfter, text }) {
    const value = parsed(text);
    if (status === 200) {
      const result = read(value);
      if (result !== undefined) return { result };
    }
    const isAway = status === 200 || AGAIN.includes(status);
    const canRetry = isAway || (status === 429 && retryAfter !== undefined);
    const code = value?.code;
    if (typeof code !== 'string') {
      const detail =
        `${this.#address.server} answered with status ${status} and not as Cometify does: ` +
        'the URL must lead to a Cometify server, and a proxy before it must pass its answers on.';
      return {
        code: 'unreadable_answer',
        detail,
        status,
        retryAfter,
        canRetry,
        isLost: isAway,
        isAway: true,
      };
    }
    const isLost = isAway && !UNPUSHED.includes(code);
    return {
      code,
      detail: String(value.detail ?? ''),
      status,
      retryAfter,
      canRetry,
      isLost,
      isAway,
    };
  }
}

/** @param {unknown} value */
function written(value) {
  try {
    return JSON.stringify(value);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new CometifyError('invalid_parameter', `This cannot be written as JSON: ${message}.`);
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
