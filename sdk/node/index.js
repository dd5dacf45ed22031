/**
 * Push to web pages through a Cometify server: `await Cometify.fromUrl().push('guestbook', 'Hello world!')`.
 *
 * One object keeps its connections. Every call ends within `timeout` milliseconds, with all its tries. A call
 * that fails rejects with a `CometifyError`. Requests are signed with HMAC, so the API secret does not leave
 * this process, unless `bearer` is set.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { HEADER, readUrl } from './address.js';
import { CometifyError, check, MaybePushed } from './errors.js';
import { Requests, signature } from './requests.js';
import { verifiedEvents } from './webhooks.js';

export { CometifyError, MaybePushed, signature };

const NAME = /^[A-Za-z][\w.-]{0,99}$/;
const NAME_OR_PREFIX = /^(([A-Za-z][\w.-]{0,99})?\*|[A-Za-z][\w.-]{0,99})$/;
const SUBJECT = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;
/** Entries of a page of a list. */
const PAGE = 1000;
const OPTIONS = ['secret', 'pushId', 'event', 'except', 'data'];

export class Cometify {
  #address;
  #requests;

  /**
   * @param {import('./address.js').Address} address
   * @param {number} timeout
   */
  constructor(address, timeout) {
    this.#address = address;
    this.#requests = new Requests(address, timeout);
    this.apiKey = address.apiKey;
    this.server = address.server;
  }

  static fromUrl(url = process.env.COMETIFY_URL, { timeout = 2000, bearer = false } = {}) {
    const isTime = typeof timeout === 'number' && timeout > 0;
    check(isTime, 'invalid_parameter', 'timeout must be a number of milliseconds above 0.');
    return new Cometify(readUrl(url ?? '', bearer), timeout);
  }

  /**
   * @param {string} identifier
   * @param {unknown} content
   * @param {Record<string, any>} options
   */
  async push(identifier, content, { idempotencyKey, ...options } = {}) {
    const { identifier: _, ...value } = draft(identifier, content, options, [
      ...OPTIONS,
      'idempotencyKey',
    ]);
    const path = `/push/${encoded(identifier)}`;
    return this.#requests.carryOut({
      method: 'POST',
      path,
      value,
      key: keyOf(idempotencyKey),
      read: readPushed,
    });
  }

  /**
   * @param {Iterable<Record<string, any>>} pushes
   * @param {{idempotencyKey?: string}} options
   */
  async batch(pushes, { idempotencyKey } = {}) {
    const value = [...pushes].map(({ identifier, content, ...options }, index) => {
      try {
        return draft(identifier, content, options, ['identifier', 'content', ...OPTIONS]);
      } catch (error) {
        const { code, detail } = /** @type {CometifyError} */ (error);
        throw new CometifyError(code, `Push ${index + 1} of the batch: ${detail}`);
      }
    });
    const read = (/** @type {any} */ answer) => {
      const pushed =
        Array.isArray(answer) && answer.length === value.length
          ? answer.map(readPushed)
          : [undefined];
      return pushed.includes(undefined) ? undefined : pushed;
    };
    return this.#requests.carryOut({
      method: 'POST',
      path: '/push',
      value,
      key: keyOf(idempotencyKey),
      read,
    });
  }

  async position() {
    return this.#requests.carryOut({
      method: 'GET',
      path: '/position',
      read: (answer) => answer?.position,
    });
  }

  /** @param {{subject?: string, listener?: string}} whom */
  async disconnect({ subject, listener } = {}) {
    const isOne = (subject === undefined) !== (listener === undefined);
    check(isOne, 'invalid_parameter', 'Give subject or listener, and not both.');
    const read = (/** @type {any} */ answer) => answer?.disconnected;
    return this.#requests.carryOut({
      method: 'POST',
      path: '/disconnect',
      value: { subject, listener },
      read,
    });
  }

  /**
   * @param {{prefix?: string}} options
   * @returns {AsyncGenerator<any, void>}
   */
  async *identifiers({ prefix } = {}) {
    let after = '';
    while (after !== null) {
      const page = await this.#get(`/identifiers${query({ prefix, after })}`, 'identifiers');
      yield* page.identifiers;
      after = page.next;
    }
  }

  /** @param {string} identifier */
  async identifier(identifier) {
    return this.#get(`/identifiers/${encoded(identifier)}`, 'identifier');
  }

  /**
   * @param {string} identifier
   * @param {{after?: number | null, limit?: number}} page
   */
  async pushes(identifier, { after, limit } = {}) {
    return this.#get(
      `/identifiers/${encoded(identifier)}/pushes${query({ after, limit })}`,
      'pushes',
    );
  }

  async usage() {
    return this.#get('/usage', 'days');
  }

  /**
   * @param {string} path
   * @param {string} field A field that the answer must have.
   */
  #get(path, field) {
    const read = (/** @type {any} */ answer) =>
      answer?.[field] === undefined ? undefined : answer;
    return this.#requests.carryOut({ method: 'GET', path, read });
  }

  /**
   * @param {string | string[]} identifiers
   * @param {number} seconds
   * @param {{sub?: string}} options
   */
  token(identifiers, seconds, { sub } = {}) {
    const isSubject = sub === undefined || (typeof sub === 'string' && SUBJECT.test(sub));
    check(isSubject, 'invalid_parameter', 'sub must be a string of 1 to 128 printable characters.');
    return this.#jwt(seconds, { identifiers: names(identifiers, NAME_OR_PREFIX), sub });
  }

  /** @param {number} seconds */
  accountToken(seconds) {
    return this.#jwt(seconds, { scope: 'account', api_key: this.apiKey });
  }

  /**
   * @param {number} seconds
   * @param {Record<string, unknown>} rights
   */
  #jwt(seconds, rights) {
    check(seconds >= 1, 'invalid_parameter', 'seconds must be 1 or more.');
    const iat = Math.floor(Date.now() / 1000);
    const claims = { iat, exp: iat + Math.floor(seconds), ...rights };
    const signed = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${base64url(JSON.stringify(claims))}`;
    return `${signed}.${createHmac('sha256', this.#address.apiSecret).update(signed).digest('base64url')}`;
  }

  /** @param {string | string[]} identifiers */
  secureKey(identifiers) {
    const list = names(identifiers, NAME).join(',');
    return md5hex(this.#address.apiKey + this.#address.apiSecret + md5hex(list));
  }

  /**
   * @param {string} path
   * @param {Record<string, string | string[] | undefined>} headers
   * @param {Uint8Array | string} body
   * @param {{otherSecret?: string}} options
   */
  verifyWebhook(path, headers, body, { otherSecret } = {}) {
    const others = otherSecret === undefined ? [] : [otherSecret];
    return verifiedEvents([this.#address.apiSecret, ...others], path, headers, body);
  }

  close() {
    this.#requests.close();
  }
}

/**
 * A push as the server reads it.
 *
 * @param {string} identifier
 * @param {unknown} content
 * @param {Record<string, any>} options
 * @param {string[]} known The names to tell if one is unknown.
 */
function draft(identifier, content, options, known) {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  check(
    !unknown,
    'invalid_parameter',
    `There is no option ${unknown}: there are ${known.join(', ')}.`,
  );
  encoded(identifier);
  const { data, secret = false, pushId, event, except } = options;
  check(
    (content === undefined) !== (data === undefined) && content !== null,
    'missing_parameter',
    "A push has a text or data: give one of them. JSON's null is data: null.",
  );
  check([false, true, 0, 1].includes(secret), 'invalid_parameter', 'secret must be true or false.');
  return {
    identifier,
    ...(typeof content === 'string'
      ? { text: content }
      : { data: data === undefined ? content : data }),
    secret: Number(secret),
    push_id: pushIdOf(pushId),
    event: event ?? undefined,
    except: except ?? undefined,
  };
}

/**
 * An identifier as a part of a path. A name of dots would be lost there.
 *
 * @param {string} identifier
 */
function encoded(identifier) {
  const isName = typeof identifier === 'string' && /[^.]/.test(identifier);
  check(isName, 'invalid_identifier', 'The identifier must be a name such as guestbook.');
  return encodeURIComponent(identifier);
}

/**
 * The query of a page of a list.
 *
 * @param {Record<string, string | number | null | undefined>} parameters Those that are empty are left out.
 */
function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => (value ?? '') !== '');
  return `?${new URLSearchParams([['limit', PAGE], ...given].map((pair) => pair.map(String)))}`;
}

/** @param {unknown} pushId */
function pushIdOf(pushId) {
  if (pushId === undefined || pushId === null) return undefined;
  const isExact =
    typeof pushId === 'number'
      ? Number.isSafeInteger(pushId)
      : /^(bigint|string)$/.test(typeof pushId);
  check(
    isExact,
    'invalid_parameter',
    'pushId must be an integer. Write one above 2^53 - 1 as a BigInt or a string.',
  );
  return String(pushId);
}

/** @param {any} answer */
function readPushed(answer) {
  if (typeof answer?.position !== 'number') return undefined;
  const { identifier, push_id: pushId, position, listeners, duplicate = false } = answer;
  return { identifier, pushId, position, listeners, duplicate };
}

/** @param {string | undefined} idempotencyKey */
function keyOf(idempotencyKey = randomBytes(16).toString('hex')) {
  check(
    idempotencyKey.length <= 128 && HEADER.test(idempotencyKey),
    'invalid_parameter',
    'idempotencyKey must have 1 to 128 printable ASCII characters, and no space at its ends.',
  );
  return idempotencyKey;
}

/**
 * @param {string | string[]} identifiers
 * @param {RegExp} form
 */
function names(identifiers, form) {
  const list = typeof identifiers === 'string' ? identifiers.split(',') : [...identifiers];
  check(list.length, 'invalid_parameter', 'identifiers: give at least one name.');
  for (const name of list) {
    check(
      form.test(name),
      'invalid_parameter',
      `identifiers: ${JSON.stringify(name)} is not a name such as guestbook.`,
    );
  }
  return list;
}

/** @param {string} text */
const base64url = (text) => Buffer.from(text).toString('base64url');

/** @param {string} text */
const md5hex = (text) => createHash('md5').update(text).digest('hex');
