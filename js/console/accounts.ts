/** The accounts that did something in the last minute or have listeners, and a visitor's disconnection. */
import type { AccountsReport, Reports } from './answers';
import { ask, tell as send } from './ask';
import { bytes, count, link, make, table } from './elements';
import { accountBox, onSubmit } from './identifiers';
import { chosenAccount, type Place, type View } from './view';
import { webhooks } from './webhooks';

const COLUMNS = [
  { title: 'Account' },
  { title: 'Listeners', isNumber: true },
  { title: 'Pushes a minute', isNumber: true },
  { title: 'Deliveries a minute', isNumber: true },
  { title: 'Bytes in a minute', isNumber: true },
  { title: 'Bytes out a minute', isNumber: true },
  { title: 'Refusals a minute', isNumber: true },
  { title: 'Details' },
];

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
  root.append(box, form);
  return {
    title: 'Accounts',
    interval: 5000,
    async refresh() {
      const [{ processes }, hooks] = await Promise.all([
        ask<Reports<AccountsReport>>('console/accounts'),
        webhooks(),
      ]);
      const rows = [...merged(processes)]
        .sort(([, one], [, other]) => weight(other) - weight(one))
        .map(([account, sums]) => [
          link('overview', { account }, account),
          count(sums.listeners || 0),
          count(sums.pushes || 0),
          count(sums.deliveries || 0),
          bytes(sums.push_bytes || 0),
          bytes(sums.delivered_bytes || 0),
          count(sums.refused || 0),
          link('identifiers', { account }, 'identifiers'),
        ]);
      box.replaceChildren(
        table(
          'Accounts',
          COLUMNS,
          rows,
          'No account has done anything in the last minute, and nobody listens.',
        ),
        make('h3', {}, 'Webhooks'),
        hooks,
      );
      tell('');
    },
  };
}
