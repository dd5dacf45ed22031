/** Everything that the page can be told by `on`. */
import type { PushId } from './frames';
import type { Data } from './group';
import type { State } from './states';
import type { Way } from './transport';

export type Notice =
  /** `after`: when waiting, the milliseconds until the next attempt. Otherwise null. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | { type: 'push'; data: Data; id: PushId; identifier: string; position: number }
  /** Pushes to these identifiers may have been lost. Load their data from your own server again. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: the listener does not come back by itself. `identifiers`: only these are affected. */
  | { type: 'error'; code: string; detail: string; fatal: boolean; identifiers?: string[] };

export type NoticeOf<T extends Notice['type']> = Extract<Notice, { type: T }>;

export function errorNotice(code: string, detail: string, fatal = false): NoticeOf<'error'> {
  return { type: 'error', code, detail, fatal };
}
