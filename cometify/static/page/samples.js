/** The code samples: their colours, their copy buttons, and the visitor's own values in them. */
import { account, isApiKey } from './account.js';
import { copyButton } from './copy.js';
import { make } from './elements.js';

const STRING = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/;
const COMMENTS = {
  php: /\/\/[^\n]*/,
  js: /\/\/[^\n]*/,
  python: /#[^\n]*/,
  sh: /#[^\n]*/,
};
const PLACEHOLDER = /YOUR_API_KEY|YOUR_API_SECRET|http:\/\/localhost:8081/;

/** Every placeholder on the page: the element that shows it, and the text it stands for. */
const placeholders = [];

/** Splits at the matches and keeps them, so that joining the parts gives the text again. */
function splitAround(text, pattern) {
  return text.split(new RegExp(`(${pattern})`)).filter(Boolean);
}

/** Appends a text whose placeholders are elements of their own. */
function appendText(parent, text) {
  for (const piece of splitAround(text, PLACEHOLDER.source)) {
    if (PLACEHOLDER.test(piece)) {
      const node = make('span', { class: 'blank' }, piece);
      placeholders.push({ node, token: piece });
      parent.append(node);
    } else parent.append(piece);
  }
}

/** Colours a code block and finds its placeholders. Its text stays as it was. */
function paint(code) {
  const text = code.textContent;
  const coloured = [COMMENTS[code.dataset.language], STRING]
    .filter(Boolean)
    .map(({ source }) => `(?:${source})`)
    .join('|');
  const isColoured = new RegExp(`^(?:${coloured})$`);
  code.replaceChildren();
  for (const part of splitAround(text, coloured)) {
    let parent = code;
    if (isColoured.test(part)) {
      parent = make('span', { class: /^['"`]/.test(part) ? 'string' : 'comment' });
      code.append(parent);
    }
    appendText(parent, part);
  }
}

/** Shows the visitor's values in place of the placeholders, and the placeholders where there is none. */
export function fillSamples() {
  const values = {
    // Only a text that can be an API key, because such a text needs no escaping in any language.
    YOUR_API_KEY: isApiKey(account.apiKey) ? account.apiKey : '',
    'http://localhost:8081': account.server,
  };
  for (const { node, token } of placeholders) {
    const value = values[token];
    node.textContent = value || token;
    node.classList.toggle('filled', Boolean(value));
  }
}

export function setUpSamples() {
  for (const code of document.querySelectorAll('pre > code')) {
    paint(code);
    const figure = code.closest('figure');
    const name = figure.querySelector('figcaption')?.textContent ?? 'this command';
    // A block that scrolls must be reachable by the keyboard.
    code.parentElement.tabIndex = 0;
    code.parentElement.setAttribute('role', 'region');
    code.parentElement.setAttribute('aria-label', name);
    if (code.dataset.language !== 'json') figure.append(copyButton(code, name));
  }
}
