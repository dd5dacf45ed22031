/** Why is this refused? A token or a request is checked step by step, by the server that would refuse it. */
import type { Check } from './answers';
import { tell as send } from './ask';
import { make, table } from './elements';
import { accountBox, onSubmit } from './identifiers';
import { chosenAccount, type Place, type View } from './view';

const COLUMNS = [{ title: 'Check' }, { title: 'Result' }, { title: 'Reason', isWide: true }];
const SAMPLE = `POST /37282591/push/chat HTTP/1.1
Content-Type: application/json
Cometify-Timestamp: 1764000000
Cometify-Nonce: 4f9c2a7be01d4f9c
Cometify-Signature: …

{"text":"Hello","secret":0}`;

function result({ passed }: Check): HTMLElement {
  if (passed === null) return make('span', { class: 'quiet' }, 'not looked at');
  return make('span', { class: passed ? 'good' : 'bad' }, passed ? 'right' : 'wrong');
}

export function check({ root, query, tell }: Place): View {
  const results = make('div', { 'aria-live': 'polite' });

  function ask(fields: Record<string, string>): void {
    send<{ checks: Check[] }>('console/check', fields)
      .then(({ checks }) => {
        const rows = checks.map((one) => [one.name, result(one), one.detail]);
        const wrong = checks.filter(({ passed }) => passed === false);
        const verdict = wrong.length
          ? `Refused because of: ${wrong.map(({ name }) => name).join(', ')}.`
          : 'Nothing is wrong with it.';
        results.replaceChildren(
          make('h3', {}, verdict),
          table('Checks', COLUMNS, rows, 'Nothing was checked.'),
        );
        tell('');
      })
      .catch((failure: Error) => tell(failure.message));
  }

  const ofToken = make(
    'form',
    {},
    make('h3', {}, 'A token'),
    accountBox(chosenAccount(query)),
    make(
      'label',
      {},
      'token',
      make('textarea', {
        name: 'token',
        rows: 4,
        required: true,
        spellcheck: 'false',
        autocomplete: 'off',
      }),
    ),
    make(
      'label',
      {},
      'identifiers that it should open',
      make('input', {
        name: 'identifiers',
        placeholder: 'chat,orders',
        autocomplete: 'off',
        spellcheck: 'false',
      }),
    ),
    make('button', {}, 'Check the token'),
  );
  const ofRequest = make(
    'form',
    {},
    make('h3', {}, 'A request'),
    make(
      'label',
      {},
      'request with its headers and its body, or the address of a listener',
      make('textarea', {
        name: 'request',
        rows: 9,
        required: true,
        placeholder: SAMPLE,
        spellcheck: 'false',
        autocomplete: 'off',
      }),
    ),
    make('button', {}, 'Check the request'),
  );
  onSubmit(ofToken, ask);
  onSubmit(ofRequest, ask);
  root.append(
    make(
      'p',
      { class: 'quiet' },
      'The server compares with the secrets of the account. It neither logs nor keeps what is pasted here.',
    ),
    make('div', { class: 'pair' }, ofToken, ofRequest),
    results,
  );
  return { title: 'Why is this refused?', refresh: () => Promise.resolve() };
}
