/** Everything that the page can be told by `on`. */
import type { PushId } from './frames';
import type { Data } from './group';
import type { State } from './states';
import type { Way } from './transport';

export interface PushNotice<D = Data, E extends string | null = string | null> {
  type: 'push';
  data: D;
  id: PushId;
  /** The name of what happened, or null if the push has none. */
  event: E;
  identifier: string;
  position: number;
}

export type Notice<D = Data> =
  /** `after`: when waiting, the milliseconds until the next attempt. Otherwise null. */
  | { type: 'state'; state: State; transport: Way; after: number | null }
  | PushNotice<D>
  /** Pushes to these identifiers may have been lost. Load their data from your own server again. */
  | { type: 'gap'; identifiers: string[] }
  /** `fatal`: the listener does not come back by itself. `identifiers`: only these are affected. */
  | { type: 'error'; code: string; detail: string; fatal: boolean; identifiers?: string[] };

export type NoticeOf<T extends Notice['type'], D = Data> = Extract<Notice<D>, { type: T }>;

/** The data of each event of a subscription, by its name. */
// biome-ignore lint/suspicious/noExplicitAny: the page knows the kind of its own pushes
export type Events = Record<string, any>;

/** Something to hear of: a notice, or the pushes of an event. */
export type Heard<E, T> = T extends Notice['type']
  ? NoticeOf<T, E[keyof E]>
  : T extends keyof E & string
    ? PushNotice<E[T], T>
    : never;

/** An event of one of these names is heard as a push only, because the name has its own meaning. */
export const NOTICES: readonly string[] = ['state', 'push', 'gap', 'error'];

/** A notice in the plural or in capitals is most likely a mistake, although an event may be called so. */
export const LIKE_A_NOTICE = /^(state|push|gap|error)e?s?$/i;

export function errorNotice(code: string, detail: string, isFatal?: boolean): NoticeOf<'error'> {
  return { type: 'error', code, detail, fatal: !!isFatal };
}
