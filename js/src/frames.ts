/**
 * What is heard on a connection. Most of it the server says: JSON objects, the same on every
 * transport. Their fields are trusted, for no middle box makes up a frame; only that a line *is* one
 * is looked at. And how a connection ended is told in the same shape: an HTTP problem is an `error`,
 * a close code of the server's is an `error` or a `reconnect`, and three frames are our own.
 */

/** A number, or a decimal string where a number would be rounded, or null if the push had none. */
export type PushId = number | string | null;

/** Accepted: how often to expect something, what to tell the page's author, and where each group begins. */
export interface ReadyFrame {
  type: 'ready';
  heartbeat: number;
  warnings?: string[];
  positions: number[];
}

export interface PushFrame {
  type: 'push';
  identifier: string;
  push_id: PushId;
  text: string;
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

/** The connection ends; `retry` in seconds, or null: not to come back unchanged. */
export interface ErrorFrame {
  type: 'error';
  code: string;
  detail: string;
  retry: number | null;
}

/** The server drains: come back after so many milliseconds. */
export interface ReconnectFrame {
  type: 'reconnect';
  after: number;
}

/** Ours: the connection is lost by nobody's word. `after` in milliseconds, if a proxy asked for it. */
export interface CutFrame {
  type: '(cut)';
  after?: number;
}

/** Ours: there were tokens to wait for, and only now the connection is opened. */
export interface OpenedFrame {
  type: '(opened)';
}

/** Ours: the HTTP answer came whole. */
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The frame in a line. A line that is none (a proxy's HTML, say) is as good as a cut. */
export function ofLine(line: string): Frame {
  const frame = parse(line) as Frame | undefined;
  return frame && typeof frame.type === 'string' ? frame : CUT;
}

/**
 * An HTTP answer that is no 2xx. Only a problem document with a `code` is the server's word; a
 * status alone, or JSON of another kind, may be that of something on the way.
 */
export function ofAnswer({ status, headers }: Response, body: string): Frame {
  const retry = +(headers.get('Retry-After') as string) || 0;
  const isProblem = /problem\+json/.test(headers.get('Content-Type') as string);
  const { code, detail } = ((isProblem && parse(body)) || {}) as Partial<ErrorFrame>;
  if (!code) return { type: '(cut)', after: retry * 1000 };
  const never = status < 500 && status !== 429;
  return { type: 'error', code, detail: detail || '', retry: never ? null : retry };
}

/** A close code, whose hundred says what to do; those that are not ours are a cut. */
export function ofClose(code: number, detail: string): Frame {
  if (/^42/.test(`${code}`)) return { type: 'reconnect', after: 0 };
  if (!/^4[01]/.test(`${code}`)) return CUT;
  return { type: 'error', code: `${code}`, detail, retry: code < 4100 ? null : 0 };
}
