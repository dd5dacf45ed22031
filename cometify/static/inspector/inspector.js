/* Asks /inspect every two seconds while somebody looks, and shows what it says. Texts go in as text. */
'use strict';

const EVERY = 2000;
const find = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');

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

/** `isNumber`: which columns are numbers, by place. */
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
  return value === null ? null : number.format(value);
}

/** A position is a time in microseconds. */
function time(position) {
  return position === null ? null : new Date(position / 1000).toISOString().slice(11, 23);
}

function link(account, identifier) {
  const made = document.createElement('a');
  made.href = `#${new URLSearchParams({ account, identifier })}`;
  made.textContent = identifier;
  return made;
}

/** The identifiers of all processes, each once. */
function together(processes) {
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

function showOverview(processes) {
  const sums = {};
  for (const { listeners } of processes) {
    for (const [transport, many] of Object.entries(listeners)) {
      if (many) sums[transport] = (sums[transport] || 0) + many;
    }
  }
  const told = Object.entries(sums).map(([transport, many]) => `${count(many)} ${transport}`);
  show('sum', told.join(', ') || 'nobody listens');
  const rows = together(processes);
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
  show('more', most > rows.length ? `The ${rows.length} with the most listeners, of ${count(most)}.` : '');
}

function showChannel(processes) {
  const [first] = processes;
  show('name', `${first.identifier} of ${first.account}`);
  const best = processes.reduce((one, other) => ((other.kept ?? -1) > (one.kept ?? -1) ? other : one));
  show(
    'kept',
    best.kept === null
      ? 'Nothing is kept of it here. Where pushes are kept in Redis, a server has those of identifiers that are listened to.'
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
      view.names.join(', ') + (view.names_in_all > view.names.length ? ` and ${view.names_in_all - view.names.length} more` : ''),
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
    'None is kept.',
  );
}

let timer;
let asked = 0;

async function look() {
  clearTimeout(timer);
  const mine = ++asked;
  const query = location.hash.slice(1);
  let said = '';
  try {
    const answer = await fetch(`inspect?${query}`, { signal: AbortSignal.timeout(10_000) });
    const told = await answer.json();
    if (mine !== asked) return;
    if (!answer.ok) throw new Error(told.detail);
    find('overview').hidden = !!query;
    find('channel').hidden = !query;
    if (query) showChannel(told.processes);
    else showOverview(told.processes);
    show('state', `${told.processes[0].version}, ${told.processes.length > 1 ? `${told.processes.length} processes, ` : ''}as of ${new Date().toLocaleTimeString()}`);
  } catch (failure) {
    if (mine !== asked) return;
    said = `${failure.message || failure}`;
    show('state', said);
  }
  find('state').className = said ? 'bad' : '';
  if (!document.hidden) timer = setTimeout(look, EVERY);
}

find('find').addEventListener('submit', (event) => {
  event.preventDefault();
  location.hash = `${new URLSearchParams(new FormData(event.target))}`;
});
addEventListener('hashchange', look);
document.addEventListener('visibilitychange', look);
look();
