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
    /** The key of the push. Give it again to send the same push again. */
    this.idempotencyKey = idempotencyKey;
  }
}

/** The push may have been made. It is safe to send it again with the same `idempotencyKey`. */
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
