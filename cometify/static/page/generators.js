/** The generators: the secureKey of some identifiers, and the signature of a push. */
import { account, listed, makeSecure, makeSecureKey } from './account.js';
import { copyButton } from './copy.js';
import { find } from './elements.js';

/** The longest value that is shown in full in a formula. */
const LONGEST_SHOWN = 40;

function quoted(value) {
  return `'${value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN - 1)}…` : value}'`;
}

/** Shows a formula and its value, or which part of the account is missing. */
function showMade(output, steps, formula, value) {
  const missing = [];
  if (!account.apiKey) missing.push('API key');
  if (!account.apiSecret) missing.push('API secret');
  steps.textContent = formula;
  output.dataset.made = missing.length ? 'no' : 'yes';
  output.textContent = missing.length
    ? `Type your ${missing.join(' and your ')} at the top.`
    : value();
}

export function fillGenerators() {
  const key = quoted(account.apiKey || 'API key');
  const identifiers = listed(find('key-identifiers').value);
  showMade(
    find('made-secure-key'),
    find('secure-key-steps'),
    `md5hex(${key} + '•••' + md5hex('${identifiers.join(',')}'))`,
    () => makeSecureKey(identifiers),
  );
  const identifier = find('sign-identifier').value.trim();
  const text = find('sign-text').value;
  showMade(
    find('made-secure'),
    find('secure-steps'),
    `md5hex(${key} + md5hex('•••') + ${quoted(identifier)} + ${quoted(text)})`,
    () => makeSecure(identifier, text),
  );
}

export function setUpGenerators() {
  for (const output of document.querySelectorAll('.made output')) {
    output.after(copyButton(output, 'the result'));
  }
}
