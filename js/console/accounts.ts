/** All accounts with what they did in the last minute, a form that adds one, and a visitor's disconnection. */
import type { AccountsReport, Reports } from './answers';
import { ask, tell as send } from './ask';
import { bytes, count, link, make, table } from './elements';
import { accountBox, onSubmit } from './identifiers';
import { type Account, addForm, allAccounts } from './management';
import { chosenAccount, type Place, type View } from './view';
import { webhooks } from './webhooks';

const COLUMNS = [
  { title: 'Account' },
  { title: 'State' },
  { title: 'Listeners', isNumber: true },
  { title: 'Pushes a minute', isNumber: true },
  { title: 'Deliveries a minute', isNumber: true },
  { title: 'Bytes in a minute', isNumber: true },
  { title: 'Bytes out a minute', isNumber: true },
  { title: 'Refusals a minute', isNumber: true },
  { title: 'Details' },
];

/** Rows of the table. */
const MOST = 500;

type Sums = Record<string, number>;

/** The figures of each account, added over the processes. */
function merged(processes: AccountsReport[]): Map<string, Sums> {
  const found = new Map<string, Sums>();
  const sumsOf = (account: string) => {
    const sums = found.get(account) || {};
    found.set(account, sums);
    return sums;
  };
  for (const { last_minute: minute, listeners } of processes) {
    for (const [account, figures] of Object.entries(minute)) {
      const sums = sumsOf(account);
      for (const [name, figure] of Object.entries(figures)) {
        if (name !== 'listeners') sums[name] = (sums[name] || 0) + figure;
      }
    }
    for (const [account, many] of Object.entries(listeners)) {
      const sums = sumsOf(account);
      sums.listeners = (sums.listeners || 0) + many;
    }
  }
  return found;
}

function state(known: Map<string, Account> | string, key: string): HTMLElement {
  const account = typeof known === 'string' ? undefined : known.get(key);
  if (!account) return make('span', { class: 'quiet' }, '–');
  if (account.suspended) return make('span', { class: 'bad' }, 'suspended');
  return make('span', { class: 'good' }, account.secrets > 1 ? 'active, two secrets' : 'active');
}

function weight(sums: Sums): number {
  return (sums.deliveries || 0) + (sums.pushes || 0) + (sums.listeners || 0) + (sums.refused || 0);
}

export function accounts({ root, query, tell }: Place): View {
  const box = make('div');
  const done = make('p', { class: 'quiet', role: 'status' });
  const form = make(
    'form',
    {},
    make('h3', {}, 'Disconnect a visitor'),
    accountBox(chosenAccount(query)),
    make(
      'label',
      {},
      'subject: the sub of the visitor’s tokens',
      make('input', { name: 'subject', required: true, autocomplete: 'off', spellcheck: 'false' }),
    ),
    make('button', {}, 'Disconnect'),
    done,
  );
  onSubmit(form, ({ account = '', subject }) => {
    send<{ disconnected: number }>('console/disconnect', { subject }, { account })
      .then(({ disconnected }) => {
        done.textContent = `${disconnected} connections end, and older tokens of ${subject} are refused.`;
        tell('');
      })
      .catch((failure: Error) => tell(failure.message));
  });
  const view: View = {
    title: 'Accounts',
    interval: 5000,
    async refresh() {
      const [known, { processes }, hooks] = await Promise.all([
        allAccounts(),
        ask<Reports<AccountsReport>>('console/accounts'),
        webhooks(),
      ]);
      const figures = merged(processes);
      if (typeof known !== 'string') {
        for (const key of known.keys()) if (!figures.has(key)) figures.set(key, {});
      }
      const rows = [...figures]
        .sort(([, one], [, other]) => weight(other) - weight(one))
        .slice(0, MOST)
        .map(([account, sums]) => [
          link('management', { account }, account),
          state(known, account),
          count(sums.listeners || 0),
          count(sums.pushes || 0),
          count(sums.deliveries || 0),
          bytes(sums.push_bytes || 0),
          bytes(sums.delivered_bytes || 0),
          count(sums.refused || 0),
          link('overview', { account }, 'charts'),
        ]);
      const words =
        typeof known === 'string'
          ? known
          : figures.size > MOST
            ? `The ${MOST} that do the most, of ${count(figures.size)}.`
            : '';
      box.replaceChildren(
        table('Accounts', COLUMNS, rows, 'There is no account yet. Add one below.'),
        make('p', { class: 'quiet' }, words),
        make('h3', {}, 'Webhooks'),
        hooks,
      );
      tell('');
    },
  };
  const adding = addForm(tell, () => void view.refresh());
  root.append(box, make('div', { class: 'pair' }, adding, form));
  return view;
}
