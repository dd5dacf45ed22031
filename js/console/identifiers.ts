/** The identifiers of an account: searched by their beginning, sorted by any column. */
import type { IdentifierRow } from './answers';
import { ask } from './ask';
import { bytes, clock, count, link, make, table } from './elements';
import { activeAccounts } from './overview';
import { chooseAccount, chosenAccount, go, type Place, type View } from './view';

/** Rows that are loaded, in pages. A longer list must be searched. */
const MOST = 1000;
/** Minutes for which a push is kept. */
const KEPT = 10;

type Key = 'identifier' | 'listeners' | 'kept' | 'bytes' | 'position';

const COLUMNS: [key: Key, title: string][] = [
  ['identifier', 'Identifier'],
  ['listeners', 'Listeners'],
  ['kept', 'Pushes a minute'],
  ['bytes', 'Kept'],
  ['position', 'Last push'],
];

interface Page {
  identifiers: IdentifierRow[];
  next: string | null;
}

/** A text box for the account, which suggests those that are busy. */
export function accountBox(account: string): HTMLElement {
  const list = make('datalist', { id: 'accounts' });
  activeAccounts()
    .then((names) => list.append(...names.map((value) => make('option', { value }))))
    .catch(() => {});
  return make(
    'label',
    {},
    'API key',
    make('input', {
      name: 'account',
      value: account,
      list: 'accounts',
      autocomplete: 'off',
      spellcheck: 'false',
      required: true,
    }),
    list,
  );
}

/** Calls `submit` with the fields of a form. */
export function onSubmit(
  form: HTMLFormElement,
  submit: (fields: Record<string, string>) => void,
): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const fields = [...new FormData(form)].map(([name, value]): [string, string] => [
      name,
      `${value}`,
    ]);
    submit(Object.fromEntries(fields));
  });
}

export function identifiers({ root, query, tell }: Place): View {
  const account = chosenAccount(query);
  const prefix = (query.get('prefix') || '').toLowerCase();
  let sorted: Key = 'listeners';
  let isRising = false;
  let rows: IdentifierRow[] = [];
  let isCut = false;
  const box = make('div');
  const form = make(
    'form',
    { class: 'bar' },
    accountBox(account),
    make(
      'label',
      {},
      'begins with',
      make('input', { name: 'prefix', value: prefix, autocomplete: 'off', spellcheck: 'false' }),
    ),
    make('button', {}, 'Search'),
  );
  onSubmit(form, (fields) => {
    chooseAccount(fields.account || '');
    go('identifiers', { account: fields.account || '', prefix: fields.prefix || '' });
  });
  root.append(form, box);

  function compare(one: IdentifierRow, other: IdentifierRow): number {
    const [low, high] = [one[sorted] ?? 0, other[sorted] ?? 0];
    const order = low < high ? -1 : low > high ? 1 : one.identifier < other.identifier ? -1 : 1;
    return isRising ? order : -order;
  }

  function sortBy(key: Key): void {
    isRising = key === sorted ? !isRising : key === 'identifier';
    sorted = key;
    show();
    box.querySelector<HTMLElement>(`[data-key=${key}]`)?.focus();
  }

  function show(): void {
    const shown = [...rows].sort(compare);
    const made = table(
      `Identifiers of ${account}`,
      COLUMNS.map(([key, title]) => ({ title, isNumber: key !== 'identifier' })),
      shown.map((row) => [
        link('identifier', { account, identifier: row.identifier }, row.identifier),
        count(row.listeners),
        count(row.kept / KEPT),
        `${count(row.kept)}, ${bytes(row.bytes)}`,
        row.position ? clock(row.position / 1e6) : null,
      ]),
      prefix
        ? `No identifier of ${account} that begins with ${prefix} is listened to or has pushes.`
        : `Nobody listens to ${account}, and it has pushed nothing for ten minutes. Open a page with the client, or send a push.`,
    );
    for (const [i, head] of [...made.querySelectorAll('th')].entries()) {
      const [key, title] = COLUMNS[i] as [Key, string];
      head.replaceChildren(
        make('button', { class: 'sort', 'data-key': key, onclick: () => sortBy(key) }, title),
      );
      if (key === sorted) head.setAttribute('aria-sort', isRising ? 'ascending' : 'descending');
    }
    box.replaceChildren(made);
    if (isCut)
      box.append(make('p', { class: 'quiet' }, `The first ${MOST} by name. Search to see others.`));
  }

  return {
    title: 'Identifiers',
    interval: 5000,
    async refresh() {
      if (!account) {
        box.replaceChildren(
          make('p', { class: 'nothing' }, 'Choose an account: type its API key, and search.'),
        );
        return;
      }
      const found = await ask<Page>('console/identifiers', { account, prefix, limit: MOST });
      rows = found.identifiers;
      isCut = found.next !== null;
      const focused = document.activeElement?.getAttribute('data-key');
      show();
      if (focused) box.querySelector<HTMLElement>(`[data-key=${focused}]`)?.focus();
      tell('');
    },
  };
}
