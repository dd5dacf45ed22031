/** A view of the page: one for each entry of the navigation, and one for a single identifier. */

/** The part of the page that a view fills, and the words after `?` in its address. */
export interface Place {
  root: HTMLElement;
  query: URLSearchParams;
  /** Tells a failure above the view, or that there is none. */
  tell(words: string): void;
}

export interface View {
  title: string;
  /** Milliseconds after which `refresh` is called again. */
  interval?: number;
  /** Fills the view from what the server tells now. Throws a `Refusal`. */
  refresh(): Promise<void>;
  /** Ends what goes on, such as a live tail. */
  close?(): void;
}

export type MakeView = (place: Place) => View;

const KEY = 'account';

/** The account that the reader has chosen last, which the views share. */
export function chosenAccount(query: URLSearchParams): string {
  return query.get(KEY) || sessionStorage.getItem(KEY) || '';
}

export function chooseAccount(account: string): void {
  sessionStorage.setItem(KEY, account);
}

/** Goes to another view, or to this one with another query. */
export function go(view: string, query: Record<string, string>): void {
  location.hash = `${view}?${new URLSearchParams(query)}`;
}
