/** A call has failed. Its message says what to do, and holds no secret. */
export class CometifyError extends Error {
  /** @override */
  name = 'CometifyError';

  /**
   * @param {string} code The server's code, or `invalid_url`, `unreachable`, `no_answer` or `unreadable_answer`.
   * @param {string} detail For people: what to do.
   * @param {{status?: number | null, retryAfter?: number | null, idempotencyKey?: string | null}} [more]
   */
  constructor(code, detail, { status = null, retryAfter = null, idempotencyKey = null } = {}) {
    super(`${code}: ${detail}`);
    this.code = code;
    this.detail = detail;
    /** The HTTP status of the answer. Null: there was no answer. */
    this.status = status;
    /** The seconds after which the server wants the request again. */
    this.retryAfter = retryAfter;
    /** The key of the push. Whoever sends the push again gives the same key. */
    this.idempotencyKey = idempotencyKey;
  }
}

/** Nobody knows if the push was made. To send it again with the same `idempotencyKey` is safe. */
export class MaybePushed extends CometifyError {
  /** @override */
  name = 'MaybePushed';
}

/**
 * @param {unknown} isRight
 * @param {string} code
 * @param {string} detail
 * @returns {asserts isRight}
 */
export function check(isRight, code, detail) {
  if (!isRight) throw new CometifyError(code, detail);
}
