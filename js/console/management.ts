/** One account: its settings, its secrets, and its life. A new secret is shown once. */
import { ask, Refusal, tell as send } from './ask';
import { link, make } from './elements';
import { onSubmit } from './identifiers';
import type { Place, View } from './view';

/** An account, as `GET /accounts/{apiKey}` tells it. */
export interface Account {
  api_key: string;
  source: 'file' | 'store';
  suspended: boolean;
  secrets: number;
  settings: Record<string, unknown>;
  api_secret?: string;
}

interface AccountsPage {
  accounts: Account[];
  next: string | null;
}

/** Accounts of one answer. */
const PAGE = 1000;

function pathOf(account: string): string {
  return `accounts/${encodeURIComponent(account)}`;
}

/** All accounts by their API key, or the words of the refusal. */
export async function allAccounts(): Promise<Map<string, Account> | string> {
  const found = new Map<string, Account>();
  let after = '';
  try {
    for (;;) {
      const { accounts, next } = await ask<AccountsPage>('accounts', {
        limit: PAGE,
        ...(after && { after }),
      });
      for (const account of accounts) found.set(account.api_key, account);
      if (next === null) return found;
      after = next;
    }
  } catch (failure) {
    if (failure instanceof Refusal) return failure.message;
    throw failure;
  }
}

/** Makes an account or replaces its settings. The answer has the secret of a new one. */
function put(account: string, settings: string): Promise<Account> {
  let read: unknown;
  try {
    read = JSON.parse(settings || '{}');
  } catch {
    throw new Error('The settings are not JSON: write an object such as {"listeners": 5000}.');
  }
  return send<Account>(pathOf(account), read, {}, 'PUT');
}

/** The secret of an answer, which no other answer has. */
function shownOnce({ api_key: key, api_secret: secret }: Account): HTMLElement {
  if (!secret) return make('p', {}, `${key} was changed. All nodes follow within a second.`);
  return make(
    'p',
    {},
    `The new API secret of ${key} is shown this once: `,
    make('code', {}, secret),
  );
}

/** The form that makes an account. `made`: called when one was. */
export function addForm(tell: (words: string) => void, made: () => void): HTMLElement {
  const done = make('div', { role: 'status' });
  const form = make(
    'form',
    {},
    make('h3', {}, 'Add an account'),
    make(
      'label',
      {},
      'API key',
      make('input', { name: 'key', required: true, autocomplete: 'off', spellcheck: 'false' }),
    ),
    make(
      'label',
      {},
      'settings, as JSON',
      make('textarea', { name: 'settings', rows: 3, placeholder: '{"listeners": 5000}' }),
    ),
    make('button', {}, 'Add'),
    done,
  );
  onSubmit(form, async ({ key = '', settings = '' }) => {
    try {
      done.replaceChildren(shownOnce(await put(key.trim(), settings)));
      tell('');
      made();
    } catch (failure) {
      tell((failure as Error).message);
    }
  });
  return form;
}

export function management({ root, query, tell }: Place): View {
  const key = query.get('account') || '';
  const facts = make('p', { class: 'quiet' });
  const done = make('div', { role: 'status' });
  const settings = make('textarea', { name: 'settings', rows: 8, spellcheck: 'false' });
  const saving = make(
    'form',
    {},
    make('h3', {}, 'Settings'),
    make('label', {}, 'all settings of this account, as JSON', settings),
    make('button', {}, 'Save'),
  );
  const suspend = make('button', {
    type: 'button',
    onclick: () => act(suspended ? 'resume' : 'suspend'),
  });
  const retire = make(
    'button',
    { type: 'button', onclick: () => act('retire') },
    'Retire the older secret',
  );
  const rotate = make(
    'button',
    { type: 'button', onclick: () => act('rotate') },
    'Make a second secret',
  );
  const removing = make(
    'form',
    {},
    make('h3', {}, 'Remove'),
    make(
      'label',
      {},
      'type the API key again: its listeners are ended for good',
      make('input', { name: 'again', required: true, autocomplete: 'off', spellcheck: 'false' }),
    ),
    make('button', { class: 'bad' }, 'Remove the account'),
  );
  const life = make(
    'div',
    {},
    make('h3', {}, 'Secrets and state'),
    make('div', { class: 'buttons' }, rotate, retire, suspend),
  );
  root.append(
    facts,
    make(
      'p',
      {},
      link('overview', { account: key }, 'Charts'),
      ' ',
      link('identifiers', { account: key }, 'Identifiers'),
    ),
    done,
    make('div', { class: 'pair' }, saving, make('div', {}, life, removing)),
  );
  let suspended = false;
  let isEdited = false;
  settings.addEventListener('input', () => {
    isEdited = true;
  });

  async function change(changed: Promise<Account>): Promise<void> {
    try {
      done.replaceChildren(shownOnce(await changed));
      isEdited = false;
      await view.refresh();
    } catch (failure) {
      tell((failure as Error).message);
    }
  }

  function act(action: string): void {
    change(send<Account>(`${pathOf(key)}/${action}`, {}));
  }

  onSubmit(saving, () => {
    try {
      change(put(key, settings.value));
    } catch (failure) {
      tell((failure as Error).message);
    }
  });
  onSubmit(removing, async ({ again }) => {
    if (again !== key) {
      tell(`Type ${key} to remove it.`);
      return;
    }
    try {
      await send(pathOf(key), {}, {}, 'DELETE');
      location.hash = 'accounts';
    } catch (failure) {
      tell((failure as Error).message);
    }
  });

  const view: View = {
    title: `Account ${key}`,
    interval: 5000,
    async refresh() {
      const account = await ask<Account>(pathOf(key));
      const isOfFile = account.source === 'file';
      suspended = account.suspended;
      facts.textContent = [
        isOfFile
          ? 'It stands in the configuration file: change it there, and reload.'
          : 'It is kept by the servers, and can be changed here.',
        account.secrets > 1
          ? 'It has two API secrets: retire the older one when nobody uses it.'
          : 'It has one API secret.',
        suspended ? 'It is suspended: its pushes and listeners are refused.' : 'It is active.',
      ].join(' ');
      suspend.textContent = suspended ? 'Resume' : 'Suspend';
      if (!isEdited) settings.value = JSON.stringify(account.settings, null, 2);
      for (const button of root.querySelectorAll('button')) button.disabled = isOfFile;
      retire.disabled = isOfFile || account.secrets < 2;
      rotate.disabled = isOfFile || account.secrets > 1;
      tell('');
    },
  };
  return view;
}
