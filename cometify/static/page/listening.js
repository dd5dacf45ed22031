/** The listening half of the live panel: one listener at a time, and the line that can be cut. */
import { account, listed, makeSecureKey } from './account.js';
import { showArrival } from './arrivals.js';
import { find } from './elements.js';
import { line } from './line.js';
import { logState } from './logs.js';

let listener = null;
/** The time at which the listener last began to connect, by performance.now(). */
let connectingSince = 0;

/** True while a listener is at work, connected or not. */
function isListening() {
  return ['connecting', 'connected', 'waiting'].includes(find('live').dataset.state);
}

function showState() {
  const { dataset } = find('live');
  const state = listener?.state ?? 'idle';
  const transport = (state === 'connected' && listener.transport) || '';
  if (state === dataset.state && transport === dataset.transport) return;
  if (state === 'connecting') connectingSince = performance.now();
  Object.assign(dataset, { state, transport });
  find('live-state').textContent = state;
  find('live-transport').textContent = transport && ` by ${transport}`;
  find('listen-toggle').textContent = isListening() ? 'Stop' : 'Start listening';
  logState('state', state, transport && `by ${transport}`, { state, transport });
}

/** The first thing that keeps the panel from listening, as an instruction. '' if there is none. */
function complaint({ internalId, withKey }) {
  if (!window.Cometify) {
    return 'The script /latest/cometify.min.js has not loaded. Reload the page.';
  }
  if (!account.apiKey) return 'Type your API key at the top.';
  if (withKey && !account.apiSecret) {
    return 'Type your API secret at the top: the secureKey is made with it.';
  }
  if (internalId && !/^\d+$/.test(internalId)) {
    return 'Type an integer from 0 as the internal id, or leave it empty.';
  }
  return '';
}

function readForm() {
  return {
    names: listed(find('listen-identifiers').value),
    internalId: find('listen-internal-id').value.trim(),
    transport: document.querySelector('input[name=transport]:checked').value,
    withKey: find('listen-secure-key').checked,
  };
}

/** The options of `Cometify.init`, without the callback. */
function optionsOf({ names, internalId, transport, withKey }) {
  // A number would round an internal id above 2^53, so such an id is told as a string.
  const id = Number.isSafeInteger(Number(internalId)) ? Number(internalId) : internalId;
  const options = {
    apiKey: account.apiKey,
    identifiers: internalId ? Object.fromEntries(names.map((name) => [name, id])) : names,
  };
  if (withKey) options.secureKey = makeSecureKey(names);
  if (transport !== 'auto') options.transports = [transport];
  return options;
}

/** Starts a listener that is told about only while it is the panel's. */
function startWith(options) {
  const whileCurrent = (tell) => (notice) => {
    if (listener === started) tell(notice);
  };
  const callback = (text, id, identifier) => {
    if (listener === started) showArrival(started, connectingSince, { text, id, identifier });
  };
  const started = window.Cometify.init({ ...options, callback }).start();
  const showGap = ({ identifiers }) => logState('gap', 'gap', identifiers.join(', '));
  const showError = ({ code, detail }) => logState('error', code, detail, { code });
  return started
    .on('state', whileCurrent(showState))
    .on('gap', whileCurrent(showGap))
    .on('error', whileCurrent(showError));
}

export function startListening() {
  listener?.stop();
  listener = null;
  const form = readForm();
  try {
    const reason = complaint(form);
    if (reason) throw new Error(reason);
    listener = startWith(optionsOf(form));
  } catch (problem) {
    // The client says in a TypeError which option is wrong.
    logState('error', 'not started', problem.message);
    showState();
  }
}

function stopListening() {
  listener?.stop();
  showState();
}

/** Starts again with the choices of now, if the panel is listening. */
function restart() {
  if (isListening()) startListening();
}

function toggleLine() {
  const isCutting = line.isUp;
  const button = find('cut');
  find('live').dataset.line = isCutting ? 'down' : 'up';
  button.textContent = isCutting ? 'Mend the line' : 'Cut the line';
  button.setAttribute('aria-pressed', String(isCutting));
  logState('line', isCutting ? 'line cut' : 'line mended');
  if (isCutting) line.cut();
  else line.mend();
}

export function setUpListening() {
  for (const id of ['api-key', 'listen-identifiers', 'listen-internal-id', 'listen-secure-key']) {
    find(id).addEventListener('change', restart);
  }
  for (const choice of document.querySelectorAll('input[name=transport]')) {
    choice.addEventListener('change', restart);
  }
  find('api-secret').addEventListener('change', () => {
    if (find('listen-secure-key').checked) restart();
  });
  find('listen-toggle').addEventListener('click', () => {
    if (isListening()) stopListening();
    else startListening();
  });
  find('cut').addEventListener('click', toggleLine);
}
