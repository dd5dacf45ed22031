/** The pushing half of the live panel: a form that signs a push in the browser and sends it. */
import { account, makeSecure } from './account.js';
import { find } from './elements.js';
import { pushFetch } from './line.js';
import { forget, remember } from './sent.js';

/** The number of the newest push, whose answer is the one to show. */
let newest = 0;

function showAnswer(outcome, words, data = {}) {
  const place = find('push-answer');
  place.textContent = words;
  Object.assign(place.dataset, { outcome, status: '', code: '', ...data });
}

function readForm() {
  return {
    identifier: find('push-identifier').value.trim(),
    text: find('push-text').value,
    pushId: find('push-id').value.trim(),
    secret: find('push-secret').checked,
  };
}

/** Sends a push. Returns the outcome of the request as the arguments of `showAnswer`. */
async function send({ identifier, text, pushId, secret }) {
  const form = new URLSearchParams({
    identifier,
    text,
    secret: secret ? '1' : '0',
    secure: makeSecure(identifier, text),
  });
  if (pushId) form.set('push_id', pushId);
  const path = `/${encodeURIComponent(account.apiKey)}/push/${encodeURIComponent(identifier)}`;

  let response;
  let body;
  try {
    response = await pushFetch(path, { method: 'POST', body: form, credentials: 'omit' });
    body = await response.json();
  } catch (problem) {
    const words = response
      ? `The answer (${response.status}) could not be read. Look at it in the browser’s tools.`
      : `No answer: ${problem.message}. Check that the server runs.`;
    return ['failed', words];
  }
  const { status } = response;
  if (response.ok) return ['pushed', describe(body, secret), { status }];
  const { code = '', detail = '', title = '' } = body;
  return ['refused', `${status} ${code}. ${detail || title}`, { status, code }];
}

/** The numbers are of the moment of the push. A listener that resumes later still gets it. */
function describe({ listeners, position }, secret) {
  const reach =
    {
      0: 'no listener connected at that moment; those that resume get it',
      1: '1 listener connected at that moment',
    }[listeners] ?? `${listeners} listeners connected at that moment`;
  const words = `Pushed at position ${position}, to ${reach}.`;
  if (!secret || find('listen-secure-key').checked) return words;
  return `${words} This page listens without the secureKey and does not get it.`;
}

async function push() {
  const number = ++newest;
  if (!account.apiKey || !account.apiSecret) {
    const words = 'Type your API key and your API secret at the top: they sign the push here.';
    showAnswer('unsigned', words);
    return;
  }
  const form = readForm();
  const sent = remember(form);
  const [outcome, ...rest] = await send(form);
  if (outcome !== 'pushed') forget(sent);
  // Answers may overtake one another.
  if (number === newest) showAnswer(outcome, ...rest);
}

export function setUpPushing() {
  find('push-form').addEventListener('submit', (submitted) => {
    submitted.preventDefault();
    push();
  });
}
