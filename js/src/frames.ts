/**
 * Everything that is heard on a connection, in one shape. Most frames come from the server: JSON
 * objects that are the same on every transport. Their fields are trusted, because no proxy makes up
 * a frame; only whether a line is a frame at all is checked. The end of a connection is told in the
 * same shape: an HTTP problem becomes an `error`, a close code of the server an `error` or a
 * `reconnect`. Three frames, with names in parentheses, are the client's own.
 */

/** A number, or a decimal string where a number would be rounded, or null if the push had none. */
export type PushId = number | string | null;

/** The listener is accepted. */
export interface ReadyFrame {
  type: 'ready';
  /** In seconds: the longest silence to expect. */
  heartbeat: number;
  /** Addressed to the author of the page. */
  warnings?: string[];
  /** The position at which each group begins. */
  positions: number[];
  /** The places of the groups that were not joined. If it is there, the first warning tells of them. */
  refused?: number[];
}

export interface PushFrame {
  type: 'push';
  identifier: string;
  push_id: PushId;
  /** The name of what happened, if the push has one. */
  event?: string;
  /** One of the two: a text, or any JSON value. */
  text?: string;
  data?: unknown;
  position: number;
}

/** Everything up to `position` has been sent. */
export interface HeartbeatFrame {
  type: 'heartbeat';
  position: number;
}

/** Pushes to these identifiers may have been lost. */
export interface GapFrame {
  type: 'gap';
  identifiers: string[];
}

/** The connection ends. `retry` is in seconds; null means not to come back unchanged. */
export interface ErrorFrame {
  type: 'error';
  code: string;
  detail: string;
  retry: number | null;
}

/** The server drains. Come back after this many milliseconds. */
export interface ReconnectFrame {
  type: 'reconnect';
  after: number;
}

/** The connection was lost without a reason from the server. `after`: a proxy asked for this delay, in milliseconds. */
export interface CutFrame {
  type: '(cut)';
  after?: number;
}

/** The connection is being opened only now, because there were tokens to wait for. */
export interface OpenedFrame {
  type: '(opened)';
}

/** The HTTP answer ended in good order. */
export interface WholeFrame {
  type: '(whole)';
}

export type Frame =
  | ReadyFrame
  | PushFrame
  | HeartbeatFrame
  | GapFrame
  | ErrorFrame
  | ReconnectFrame
  | CutFrame
  | OpenedFrame
  | WholeFrame;

export const CUT: CutFrame = { type: '(cut)' };

/** The server's close codes by their hundred, which says what to do. */
const DO_NOT_RETURN = 40;
const RETURN_LATER = 41;
const RETURN_SOON = 42;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The frame in a line. A line without one, such as a proxy's HTML, is as good as a cut. */
export function ofLine(line: string): Frame {
  const frame = parse(line) as Frame | undefined;
  return frame && frame.type ? frame : CUT;
}

/**
 * The frame of an HTTP answer whose status is not 2xx. Only a problem document with a `code` comes
 * from the server. A status alone, or JSON of another kind, may come from something on the way.
 */
export function ofAnswer({ status, headers }: Response, body: string): Frame {
  const retryAfter = Number(headers.get('Retry-After')) || 0;
  const isProblem = /problem\+json/.test(headers.get('Content-Type') as string);
  const { code, detail } = ((isProblem && parse(body)) || {}) as Partial<ErrorFrame>;
  if (!code) return { type: '(cut)', after: retryAfter * 1000 };
  const mayReturn = status >= 500 || status === 429;
  return { type: 'error', code, detail: detail || '', retry: mayReturn ? retryAfter : null };
}

/** The frame of a close code. A code that is not the server's is a cut. */
export function ofClose(code: number, detail: string): Frame {
  const hundred = Math.floor(code / 100);
  if (hundred === RETURN_SOON) return { type: 'reconnect', after: 0 };
  if (hundred !== DO_NOT_RETURN && hundred !== RETURN_LATER) return CUT;
  return { type: 'error', code: `${code}`, detail, retry: hundred === RETURN_LATER ? 0 : null };
}
