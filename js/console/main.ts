/**
 * The console: asks the admin endpoint that it came from, and shows the answers. The part of the
 * address after # names the view.
 *
 * Nothing is asked while nobody looks at the page.
 */
import { accounts } from './accounts';
import { Refusal, useAdminToken } from './ask';
import { check } from './check';
import { clock, find, make } from './elements';
import { identifier } from './identifier';
import { identifiers, onSubmit } from './identifiers';
import { management } from './management';
import { nodes } from './nodes';
import { overview } from './overview';
import { refusals } from './refusals';
import type { MakeView, View } from './view';

const VIEWS: Record<string, MakeView> = {
  overview,
  accounts,
  identifiers,
  identifier,
  management,
  refusals,
  check,
  nodes,
};

let view: View | null = null;
let timer = 0;
/** The number of the newest refresh. An older one that is answered late shows nothing. */
let newest = 0;

function tell(words: string): void {
  const box = find('failure');
  box.textContent = words;
  box.hidden = !words;
}

function askForToken(): void {
  const dialog = find<HTMLDialogElement>('sign-in');
  if (!dialog.open) dialog.showModal();
}

async function refresh(): Promise<void> {
  clearTimeout(timer);
  const number = ++newest;
  const shown = view;
  // An answer that comes while nobody looks would be out of date when somebody does.
  if (document.hidden || !shown) return;
  try {
    await shown.refresh();
    if (number !== newest) return;
    find('state').textContent = `as of ${clock(Date.now() / 1000)}`;
  } catch (failure) {
    if (number !== newest) return;
    if (failure instanceof Refusal && failure.code === 'not_authorized') askForToken();
    else tell(`${(failure as Error).message}`);
  }
  if (shown.interval) timer = window.setTimeout(refresh, shown.interval);
}

function open(): void {
  const [name = '', words] = location.hash.slice(1).split('?');
  const makeView = VIEWS[name] || overview;
  view?.close?.();
  tell('');
  const root = make('section');
  const heading = make('h2', { tabindex: -1 });
  find('view').replaceChildren(heading, root);
  view = makeView({ root, query: new URLSearchParams(words), tell });
  heading.textContent = view.title;
  document.title = `${view.title} – Cometify`;
  for (const entry of document.querySelectorAll('nav a')) {
    const isHere = entry.getAttribute('href') === `#${VIEWS[name] ? name : 'overview'}`;
    if (isHere) entry.setAttribute('aria-current', 'page');
    else entry.removeAttribute('aria-current');
  }
  refresh();
}

onSubmit(find<HTMLFormElement>('token-form'), ({ token = '' }) => {
  useAdminToken(token.trim());
  find<HTMLDialogElement>('sign-in').close();
  open();
});
addEventListener('hashchange', open);
document.addEventListener('visibilitychange', refresh);
addEventListener('resize', refresh);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
open();
