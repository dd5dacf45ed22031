/**
 * The operator's inspector: asks /inspect every two seconds while the page is visible, and shows the
 * answer. The part of the address after # names one identifier; without it all are listed.
 *
 * Everything goes into the page as text, never as markup.
 */
'use strict';

/** Between two questions, in milliseconds. */
const INTERVAL = 2000;
/** The server is given up after so many milliseconds without an answer. */
const TIMEOUT = 10_000;

const find = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat('en');

function show(id, value) {
  find(id).textContent = value;
}

function cell(value, isNumber) {
  const made = document.createElement('td');
  if (value instanceof Node) made.append(value);
  else made.textContent = value ?? '–';
  if (isNumber) made.className = 'number';
  return made;
}

/** Fills a table. `isNumber` tells of each column whether it holds numbers; `nothing` stands for no rows. */
function fill(id, rows, isNumber, nothing) {
  const made = rows.map((row) => {
    const line = document.createElement('tr');
    line.append(...row.map((value, place) => cell(value, isNumber[place])));
    return line;
  });
  if (!made.length) {
    const line = document.createElement('tr');
    const only = cell(nothing);
    only.colSpan = isNumber.length;
    only.className = 'quiet';
    line.append(only);
    made.push(line);
  }
  find(id).replaceChildren(...made);
}

function count(value) {
  return value === null ? null : numbers.format(value);
}

/** The time of day of a position, which is a time in microseconds. */
function time(position) {
  return position === null ? null : new Date(position / 1000).toISOString().slice(11, 23);
}

function link(account, identifier) {
  const made = document.createElement('a');
  made.href = `#${new URLSearchParams({ account, identifier })}`;
  made.textContent = identifier;
  return made;
}

/** The identifiers of all processes, each once with the listeners of all, the most listeners first. */
function mergeIdentifiers(processes) {
  const all = new Map();
  for (const { identifiers } of processes) {
    for (const one of identifiers) {
      const key = `${one.account} ${one.identifier}`;
      const before = all.get(key);
      if (before) before.listeners += one.listeners;
      else all.set(key, { ...one });
    }
  }
  return [...all.values()].sort((one, other) => other.listeners - one.listeners);
}

/** The listeners of all processes by transport, as '3 websocket, 1 poll'. */
function sumOfListeners(processes) {
  const sums = new Map();
  for (const { listeners } of processes) {
    for (const [transport, many] of Object.entries(listeners)) {
      if (many) sums.set(transport, (sums.get(transport) || 0) + many);
    }
  }
  return Array.from(sums, ([transport, many]) => `${count(many)} ${transport}`).join(', ');
}

function showOverview(processes) {
  show('sum', sumOfListeners(processes) || 'nobody listens');
  const rows = mergeIdentifiers(processes);
  fill(
    'identifiers',
    rows.map((one) => [
      one.account,
      link(one.account, one.identifier),
      count(one.listeners),
      count(one.kept),
      count(one.bytes),
      time(one.last),
    ]),
    [false, false, true, true, true, false],
    'Nobody listens to anything.',
  );
  const most = Math.max(...processes.map(({ listened_to }) => listened_to));
  show('more', most > rows.length ? `Only the ${rows.length} with the most listeners are shown, of ${count(most)}.` : '');
}

/** The identifiers that a group of listeners listens to. The server names only the first of many. */
function namesOf({ names, names_in_all: all }) {
  const rest = all - names.length;
  return names.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

function showChannel(processes) {
  const [first] = processes;
  show('name', `${first.identifier} of ${first.account}`);
  // Each process keeps its own copy of the pushes, and one that started later may have fewer.
  const best = processes.reduce((one, other) => ((other.kept ?? -1) > (one.kept ?? -1) ? other : one));
  show(
    'kept',
    best.kept === null
      ? 'No pushes are kept here. With Redis, a server keeps only pushes to identifiers that have listeners on it.'
      : `${count(best.kept)} pushes kept, ${count(best.bytes)} bytes.`,
  );
  const rows = processes.flatMap(({ worker, listeners }) =>
    listeners.map((view) => [
      worker ? `worker ${worker}` : 'the server',
      view.transport,
      count(view.count),
      count(view.behind),
      count(view.with_internal_id),
      view.secret ? 'yes' : 'no',
      namesOf(view),
    ]),
  );
  fill('listeners', rows, [false, false, true, true, true, false, false], 'Nobody listens to it.');
  fill(
    'pushes',
    best.pushes.map((push) => [
      time(push.position),
      push.position,
      push.push_id,
      push.secret ? 'yes' : 'no',
      count(push.bytes),
    ]),
    [false, true, true, false, true],
    'No pushes are kept.',
  );
}

function showAll(processes, isOneIdentifier) {
  find('overview').hidden = isOneIdentifier;
  find('channel').hidden = !isOneIdentifier;
  if (isOneIdentifier) showChannel(processes);
  else showOverview(processes);
  const several = processes.length > 1 ? `${processes.length} processes, ` : '';
  showState(`${processes[0].version}, ${several}as of ${new Date().toLocaleTimeString()}`);
}

function showState(words, isBad = false) {
  show('state', words);
  find('state').className = isBad ? 'bad' : '';
}

async function ask(query) {
  const answer = await fetch(`inspect?${query}`, { signal: AbortSignal.timeout(TIMEOUT) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body.processes;
}

let timer;
/** The number of the newest question. An older one that is answered late shows nothing. */
let newest = 0;

async function look() {
  clearTimeout(timer);
  const question = ++newest;
  // An answer that comes while nobody looks would be out of date when somebody does.
  if (document.hidden) return;
  const query = location.hash.slice(1);
  try {
    const processes = await ask(query);
    if (question !== newest) return;
    showAll(processes, query !== '');
  } catch (failure) {
    if (question !== newest) return;
    showState(`${failure.message || failure}`, true);
  }
  timer = setTimeout(look, INTERVAL);
}

find('find').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = `${new URLSearchParams(new FormData(event.target))}`;
});
addEventListener('hashchange', look);
document.addEventListener('visibilitychange', look);
look();
