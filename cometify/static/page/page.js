// The getting-started page: fills in the samples, makes keys, runs the live panel.
//
// Nothing that is typed here is stored or put into an address. The API secret
// is read out of its field when an MD5 is made with it, and goes nowhere else.

const find = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---------------------------------------------------------------- MD5

const ROTATIONS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

/** MD5 (RFC 1321) of a string's UTF-8 bytes, in hex. */
function md5hex(value) {
  const bytes = new TextEncoder().encode(value);
  const whole = new Uint8Array((((bytes.length + 8) >> 6) + 1) * 64);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const padded = new DataView(whole.buffer);
  padded.setUint32(padded.byteLength - 8, bytes.length << 3, true);
  padded.setUint32(padded.byteLength - 4, bytes.length >>> 29, true);

  const sum = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let block = 0; block < padded.byteLength; block += 64) {
    let [a, b, c, d] = sum;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
      const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] % 16;
      const turned = (a + mixed + SINES[i] + padded.getUint32(block + word * 4, true)) | 0;
      const by = ROTATIONS[round * 4 + (i % 4)];
      [a, d, c, b] = [d, c, b, (b + ((turned << by) | (turned >>> (32 - by)))) | 0];
    }
    [a, b, c, d].forEach((part, i) => {
      sum[i] = (sum[i] + part) | 0;
    });
  }
  // Each word's bytes come lowest first.
  const bytesOf = (word) => [word, word >>> 8, word >>> 16, word >>> 24];
  return sum
    .flatMap(bytesOf)
    .map((byte) => (byte & 255).toString(16).padStart(2, '0'))
    .join('');
}

// ---------------------------------------------------------------- the line that can be cut

// The script listens through WebSocket and fetch. This page puts its own in
// front of them, before that script is loaded, so that a visitor can cut the
// line. The page's own pushes go out by the fetch from before.
const pushFetch = window.fetch.bind(window);

const line = {
  up: true,
  hangUps: new Set(),

  cut() {
    this.up = false;
    for (const hangUp of this.hangUps) hangUp();
    this.hangUps.clear();
  },

  mend() {
    this.up = true;
    // What a browser says when its network is back.
    window.dispatchEvent(new Event('online'));
  },
};

window.WebSocket = class extends WebSocket {
  constructor(...settings) {
    super(...settings);
    const hangUp = () => this.close();
    if (!line.up) hangUp();
    line.hangUps.add(hangUp);
    this.addEventListener('close', () => line.hangUps.delete(hangUp));
  }
};

window.fetch = async (resource, settings = {}) => {
  const lost = new TypeError('The line is cut');
  if (!line.up) throw lost;
  const control = new AbortController();
  const hangUp = () => control.abort(lost);
  const { signal } = settings;
  if (signal) {
    if (signal.aborted) control.abort(signal.reason);
    signal.addEventListener('abort', () => control.abort(signal.reason), { once: true });
  }
  line.hangUps.add(hangUp);
  // One listener has at most a request or two at once; what is older has ended.
  if (line.hangUps.size > 8) line.hangUps.delete(line.hangUps.values().next().value);
  return pushFetch(resource, { ...settings, signal: control.signal });
};

// ---------------------------------------------------------------- the account

const account = {
  get apiKey() {
    return find('api-key').value.trim();
  },
  get apiSecret() {
    return find('api-secret').value;
  },
  get server() {
    try {
      const { protocol, origin } = new URL(find('server').value.trim());
      return /^https?:$/.test(protocol) ? origin : '';
    } catch {
      return '';
    }
  },
};

/** A list of identifiers as typed, with the blanks around them gone. */
const listed = (value) =>
  value
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);

const makeSecureKey = (identifiers) =>
  md5hex(account.apiKey + account.apiSecret + md5hex(identifiers.join(',')));

const makeSecure = (identifier, text) =>
  md5hex(account.apiKey + md5hex(account.apiSecret) + identifier + text);

/** Takes the API key out of `#key=…`; says whether there was one. */
function keyFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get('key') ?? '';
  if (!/^[\w-]{1,64}$/.test(key)) return false;
  find('api-key').value = key;
  return true;
}

// ---------------------------------------------------------------- samples

const STRING = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/;
const COMMENT = {
  php: /\/\/[^\n]*/,
  js: /\/\/[^\n]*/,
  python: /#[^\n]*/,
  sh: /#[^\n]*/,
};
const PLACEHOLDER = /YOUR_API_KEY|YOUR_API_SECRET|http:\/\/localhost:8081/;
const blanks = []; // every placeholder on the page: {node, token}

/** Colours a code block, and finds its placeholders; its text stays as it was. */
function paint(code) {
  const text = code.textContent;
  const parts = [COMMENT[code.dataset.language], STRING]
    .filter(Boolean)
    .map(({ source }) => `(?:${source})`);
  code.replaceChildren();
  for (const part of text.split(new RegExp(`(${parts.join('|')})`))) {
    if (!part) continue;
    let inside = code;
    if (new RegExp(`^(?:${parts.join('|')})$`).test(part)) {
      inside = make('span', { class: /^['"`]/.test(part) ? 'string' : 'comment' });
      code.append(inside);
    }
    for (const piece of part.split(new RegExp(`(${PLACEHOLDER.source})`))) {
      if (!PLACEHOLDER.test(piece)) {
        inside.append(piece);
        continue;
      }
      const node = make('span', { class: 'blank' }, piece);
      blanks.push({ node, token: piece });
      inside.append(node);
    }
  }
}

function fillSamples() {
  const filled = {
    // Only what an API key can be: nothing here needs escaping in any language.
    YOUR_API_KEY: /^[\w-]{1,64}$/.test(account.apiKey) ? account.apiKey : '',
    'http://localhost:8081': account.server,
  };
  for (const { node, token } of blanks) {
    const value = filled[token];
    node.textContent = value || token;
    node.classList.toggle('filled', Boolean(value));
  }
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard outside of https and localhost: select the text and ask the old way.
    const selection = window.getSelection();
    selection.selectAllChildren(from);
    return document.execCommand('copy');
  }
}

function copyButton(from, what) {
  const button = make(
    'button',
    { type: 'button', class: 'copy', 'aria-label': `Copy ${what}` },
    'Copy',
  );
  let back;
  button.addEventListener('click', async () => {
    button.textContent = (await copy(from.textContent, from)) ? 'Copied' : 'Selected';
    clearTimeout(back);
    back = setTimeout(() => {
      button.textContent = 'Copy';
    }, 1600);
  });
  return button;
}

function setUpCode() {
  for (const code of document.querySelectorAll('pre > code')) {
    paint(code);
    const figure = code.closest('figure');
    const name = figure.querySelector('figcaption')?.textContent ?? 'this command';
    code.parentElement.tabIndex = 0;
    code.parentElement.setAttribute('role', 'region');
    code.parentElement.setAttribute('aria-label', name);
    if (code.dataset.language !== 'json') figure.append(copyButton(code, name));
  }
}

const languages = []; // one function for each group of tabs: shows the language of that name

function setUpTabs(group) {
  const panels = [...group.querySelectorAll('[data-tab]')];
  const list = make('div', { role: 'tablist', 'aria-label': 'Language' });
  const tabs = panels.map((panel) => {
    const id = `${group.dataset.samples}-${panel.dataset.tab.toLowerCase()}`;
    panel.id = id;
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', `${id}-tab`);
    const tab = make(
      'button',
      { type: 'button', role: 'tab', id: `${id}-tab`, 'aria-controls': id },
      panel.dataset.tab,
    );
    tab.addEventListener('click', () => {
      const before = tab.getBoundingClientRect().top;
      for (const show of languages) show(panel.dataset.tab);
      // The other group may have grown above: keep this one where it is.
      window.scrollBy({ top: tab.getBoundingClientRect().top - before, behavior: 'instant' });
    });
    return tab;
  });
  list.append(...tabs);
  list.addEventListener('keydown', (pressed) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[
      pressed.key
    ];
    if (to === undefined) return;
    pressed.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  });
  group.prepend(list);
  group.classList.add('tabbed');
  const show = (language) => {
    panels.forEach((panel, i) => {
      const chosen = panel.dataset.tab === language;
      panel.hidden = !chosen;
      tabs[i].setAttribute('aria-selected', String(chosen));
      tabs[i].tabIndex = chosen ? 0 : -1;
    });
  };
  languages.push(show);
  show(panels[0].dataset.tab);
}

// ---------------------------------------------------------------- generators

const quoted = (value) => `'${value.length > 40 ? `${value.slice(0, 39)}…` : value}'`;

function showMade(output, steps, formula, value) {
  const lacking = [!account.apiKey && 'API key', !account.apiSecret && 'API secret'].filter(
    Boolean,
  );
  steps.textContent = formula;
  output.dataset.made = lacking.length ? 'no' : 'yes';
  output.textContent = lacking.length
    ? `Type your ${lacking.join(' and your ')} at the top.`
    : value();
}

function fillGenerators() {
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

// ---------------------------------------------------------------- the live panel

const SHOWN = 50; // newest arrivals and states
const live = find('live');
const sent = []; // this page's pushes, to tell what arrives: {identifier, text, pushId, secret, at, seenBy}
let listener = null;
let openedAt = 0; // when the listener last began to connect

const clockTime = () => {
  const now = new Date();
  return `${now.toLocaleTimeString('en-GB')}.${String(now.getMilliseconds()).padStart(3, '0')}`;
};

const lasted = (ms) =>
  ms < 10
    ? `${ms.toFixed(1)} ms`
    : ms < 1000
      ? `${Math.round(ms)} ms`
      : `${(ms / 1000).toFixed(1)} s`;

function prepend(list, item) {
  list.prepend(item);
  while (list.children.length > SHOWN) list.lastElementChild.remove();
  find(`${list.id}-empty`).hidden = true;
}

function logState(kind, words, detail = '', data = {}) {
  const item = make(
    'li',
    { 'data-kind': kind },
    make('time', {}, clockTime()),
    make('strong', {}, words),
  );
  if (detail) item.append(make('span', {}, detail));
  Object.assign(item.dataset, data);
  prepend(find('state-log'), item);
}

function showState() {
  const state = listener?.state ?? 'idle';
  const transport = (state === 'connected' && listener.transport) || '';
  if (state === live.dataset.state && transport === live.dataset.transport) return;
  if (state === 'connecting') openedAt = performance.now();
  live.dataset.state = state;
  live.dataset.transport = transport;
  find('live-state').textContent = state;
  find('live-transport').textContent = transport && ` by ${transport}`;
  logState('state', state, transport && `by ${transport}`, { state, transport });
  const going = !['idle', 'stopped', 'failed'].includes(state);
  find('listen-toggle').textContent = going ? 'Stop' : 'Start listening';
}

function showArrival(text, id, identifier) {
  const now = performance.now();
  const pushId = id === null || id === undefined ? '' : String(id);
  const mine = sent.find(
    (push) =>
      push.text === text &&
      push.pushId === pushId &&
      push.identifier.toLowerCase() === identifier.toLowerCase() &&
      !push.seenBy.has(listener),
  );
  mine?.seenBy.add(listener);
  const how = !mine ? 'elsewhere' : mine.at < openedAt ? 'resumed' : 'live';
  const secret = mine ? (mine.secret ? 'yes' : 'no') : 'unknown';
  const latency = mine ? now - mine.at : null;
  const transport = listener.transport ?? '';

  const facts = make(
    'span',
    { class: 'facts' },
    make('code', {}, identifier),
    make('span', {}, pushId ? `push_id ${pushId}` : 'no push_id'),
    make(
      'span',
      { class: 'secrecy' },
      { yes: 'secret', no: 'public', unknown: 'pushed elsewhere' }[secret],
    ),
    make('span', {}, transport),
  );
  const took = make('span', { class: 'took' }, mine ? lasted(latency) : '');
  if (how === 'resumed') took.append(make('small', {}, ' kept, then replayed'));
  const item = make('li', {}, make('span', { class: 'text' }, text || '(empty text)'), took, facts);
  Object.assign(item.dataset, { identifier, pushId, secret, transport, how });
  if (mine) item.dataset.latency = latency.toFixed(1);
  live.dataset.arrivals = String(Number(live.dataset.arrivals) + 1);
  prepend(find('arrivals'), item);
  fly();
}

/** Sends the comet along the panel's wire. */
function fly() {
  const dot = find('wire-dot');
  if (!dot.animate || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  dot.animate(
    [
      { left: '-12%', opacity: 0 },
      { opacity: 1, offset: 0.15 },
      { opacity: 1, offset: 0.8 },
      { left: '100%', opacity: 0 },
    ],
    { duration: 700, easing: 'cubic-bezier(.2,.6,.3,1)' },
  );
}

function stopListening() {
  listener?.stop();
  showState();
}

function startListening() {
  listener?.stop();
  listener = null;
  const names = listed(find('listen-identifiers').value);
  const internalId = find('listen-internal-id').value.trim();
  const transport = document.querySelector('input[name=transport]:checked').value;
  const withKey = find('listen-secure-key').checked;

  const complaint = !window.Cometify
    ? 'The script /latest/cometify.min.js has not loaded.'
    : !account.apiKey
      ? 'Type your API key at the top.'
      : withKey && !account.apiSecret
        ? 'Type your API secret at the top: the secureKey is made with it.'
        : internalId && !/^\d+$/.test(internalId)
          ? 'An internal id is an integer from 0.'
          : '';
  if (complaint) {
    logState('error', 'not started', complaint);
    showState();
    return;
  }

  // Above what a number holds exactly, an internal id is told as a string.
  const id = Number.isSafeInteger(Number(internalId)) ? Number(internalId) : internalId;
  const settings = {
    apiKey: account.apiKey,
    identifiers: internalId ? Object.fromEntries(names.map((name) => [name, id])) : names,
    callback: (data, id, identifier) => {
      if (listener === mine) showArrival(data, id, identifier);
    },
  };
  if (withKey) settings.secureKey = makeSecureKey(names);
  if (transport !== 'auto') settings.transports = [transport];

  let mine;
  try {
    mine = window.Cometify.init(settings).start();
  } catch (problem) {
    logState('error', 'not started', problem.message);
    showState();
    return;
  }
  listener = mine;
  const ifMine = (tell) => (notice) => {
    if (listener === mine) tell(notice);
  };
  mine.on('state', ifMine(showState));
  mine.on(
    'gap',
    ifMine(({ identifiers }) => logState('gap', 'gap', identifiers.join(', '))),
  );
  mine.on(
    'error',
    ifMine(({ code, detail }) => logState('error', code, detail, { code })),
  );
}

/** Listens anew with what is chosen now, if it was listening. */
function listenAnew() {
  if (['connecting', 'connected', 'waiting'].includes(live.dataset.state)) startListening();
}

function toggleLine() {
  const cutting = line.up;
  const button = find('cut');
  live.dataset.line = cutting ? 'down' : 'up';
  button.textContent = cutting ? 'Mend the line' : 'Cut the line';
  button.setAttribute('aria-pressed', String(cutting));
  logState('line', cutting ? 'line cut' : 'line mended');
  if (cutting) line.cut();
  else line.mend();
}

function answer(outcome, words, data = {}) {
  const place = find('push-answer');
  place.textContent = words;
  Object.assign(place.dataset, { outcome, status: '', code: '', ...data });
}

async function push() {
  const identifier = find('push-identifier').value.trim();
  const text = find('push-text').value;
  const pushId = find('push-id').value.trim();
  const secret = find('push-secret').checked;
  if (!account.apiKey || !account.apiSecret) {
    answer(
      'unsigned',
      'Type your API key and your API secret at the top: they sign the push, here in the browser.',
    );
    return;
  }
  const form = new URLSearchParams({
    identifier,
    text,
    secret: secret ? '1' : '0',
    secure: makeSecure(identifier, text),
  });
  if (pushId) form.set('push_id', pushId);

  const pushed = { identifier, text, pushId, secret, at: performance.now(), seenBy: new WeakSet() };
  sent.push(pushed);
  if (sent.length > 200) sent.shift();
  const refused = (...told) => {
    sent.splice(sent.indexOf(pushed), 1);
    answer(...told);
  };

  let response;
  let body;
  try {
    const path = `/${encodeURIComponent(account.apiKey)}/push/${encodeURIComponent(identifier)}`;
    response = await pushFetch(path, { method: 'POST', body: form, credentials: 'omit' });
    body = await response.json();
  } catch (problem) {
    refused(
      'failed',
      response
        ? `The answer (${response.status}) could not be read.`
        : `No answer: ${problem.message}.`,
    );
    return;
  }
  if (!response.ok) {
    const { code = '', detail = '', title = '' } = body;
    refused('refused', `${response.status} ${code}. ${detail || title}`, {
      status: response.status,
      code,
    });
    return;
  }
  const { listeners, position } = body;
  const reach = {
    0: 'no listener connected at that moment; those that resume get it',
    1: '1 listener connected at that moment',
  };
  // What is said here was so when the server answered: a listener that resumes shows what it gets below.
  const told = `Pushed at position ${position}, to ${reach[listeners] ?? `${listeners} listeners connected at that moment`}.`;
  const hint =
    secret && !find('listen-secure-key').checked
      ? ' This page listens without the secureKey and does not get it.'
      : '';
  answer('pushed', told + hint, { status: response.status });
}

// ---------------------------------------------------------------- put together

/** Marks, in the contents, the section that is being read. */
function followReading() {
  const links = new Map(
    [...document.querySelectorAll('.contents a')].map((link) => [link.hash.slice(1), link]),
  );
  const reading = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        const link = links.get(target.id);
        if (isIntersecting) link.setAttribute('aria-current', 'location');
        else link.removeAttribute('aria-current');
      }
    },
    { rootMargin: '-25% 0px -74% 0px' },
  );
  for (const id of links.keys()) reading.observe(find(id));
}

function setUp() {
  setUpCode();
  for (const group of document.querySelectorAll('.samples')) setUpTabs(group);
  for (const output of document.querySelectorAll('.made output')) {
    output.after(copyButton(output, 'what was made'));
  }

  find('server').value = location.origin;
  const keyGiven = keyFromAddress();

  const refresh = () => {
    fillSamples();
    fillGenerators();
  };
  for (const id of [
    'api-key',
    'server',
    'api-secret',
    'key-identifiers',
    'sign-identifier',
    'sign-text',
  ]) {
    find(id).addEventListener('input', refresh);
  }
  refresh();

  for (const id of ['api-key', 'listen-identifiers', 'listen-internal-id', 'listen-secure-key']) {
    find(id).addEventListener('change', listenAnew);
  }
  find('api-secret').addEventListener('change', () => {
    if (find('listen-secure-key').checked) listenAnew();
  });
  for (const choice of document.querySelectorAll('input[name=transport]')) {
    choice.addEventListener('change', listenAnew);
  }
  find('listen-toggle').addEventListener('click', () => {
    if (['connecting', 'connected', 'waiting'].includes(live.dataset.state)) stopListening();
    else startListening();
  });
  find('cut').addEventListener('click', toggleLine);
  find('push-form').addEventListener('submit', (submitted) => {
    submitted.preventDefault();
    push();
  });
  window.addEventListener('hashchange', () => {
    if (!keyFromAddress()) return;
    refresh();
    startListening();
  });

  followReading();
  if (keyGiven) startListening();
}

// Deferred scripts run in the order of the page: when they all have, the listener's is there.
document.addEventListener('DOMContentLoaded', setUp);
