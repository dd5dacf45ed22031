/**
 * The page of an account: the usage and the identifiers that a token shows.
 *
 * The token comes from the field, or from the part of the address behind #, which is taken away at once. It is
 * kept in this module alone. Everything goes into the page as text, never as markup.
 */

/** Between two questions while the page is visible, in milliseconds. */
const INTERVAL = 15_000;
/** The server is given up after so many milliseconds without an answer. */
const TIMEOUT = 10_000;
/** Percent of its cell that the longest bar takes. */
const WIDEST = 94;
/** Identifiers of one page. */
const PAGE = 100;

const find = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat('en');
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** The account that is shown: `{token, apiKey}`, or null. */
let shown = null;
let timer;
/** The search that is shown, and where its next page begins. */
let prefix = '';
let next = null;

/** An answer of the server that is no success. */
class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function make(tag, text, className = '') {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function bytes(count) {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toPrecision(3) : Math.round(value)} ${UNITS[unit]}`;
}

/** The claims of a token, not verified: the server does that. Null if it has none. */
function claimsOf(token) {
  try {
    const [, payload] = token.split('.');
    const claims = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
    return typeof claims.api_key === 'string' && typeof claims.exp === 'number' ? claims : null;
  } catch {
    return null;
  }
}

async function ask(account, path) {
  const answer = await fetch(`${encodeURIComponent(account.apiKey)}/${path}`, {
    headers: { Authorization: `Bearer ${account.token}` },
    cache: 'no-store',
    credentials: 'omit',
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const value = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, value.detail);
  return value;
}

function tell(text) {
  find('told').textContent = text;
  find('told').hidden = !text;
}

// Usage.

function bar(value, most) {
  const cell = make('td', '', 'bars');
  const line = document.createElement('i');
  line.style.width = most ? `${(WIDEST * value) / most}%` : '0';
  cell.append(line, make('span', numbers.format(value)));
  return cell;
}

function refusals(refused) {
  const codes = Object.entries(refused).sort((one, other) => other[1] - one[1]);
  return codes.map(([code, count]) => `${numbers.format(count)} ${code}`).join(', ') || '–';
}

function showDays(days) {
  const most = (name) => Math.max(...days.map((day) => day[name]));
  const [pushes, deliveries] = [most('pushes'), most('deliveries')];
  const rows = days.map((day) => {
    const row = document.createElement('tr');
    const name = make('th', day.begins.slice(0, 10));
    name.scope = 'row';
    row.append(
      name,
      bar(day.pushes, pushes),
      bar(day.deliveries, deliveries),
      make('td', bytes(day.push_bytes), 'number'),
      make('td', bytes(day.delivered_bytes), 'number'),
      make('td', numbers.format(day.most_listeners), 'number'),
      make('td', refusals(day.refused)),
    );
    return row;
  });
  find('days').replaceChildren(...rows);
}

function showUsage({ listeners, secrets, hour, days }) {
  const values = {
    listeners: numbers.format(listeners),
    'hour-pushes': numbers.format(hour.pushes),
    'hour-deliveries': numbers.format(hour.deliveries),
    'hour-most': numbers.format(hour.most_listeners),
    'hour-refused': numbers.format(Object.values(hour.refused).reduce((sum, count) => sum + count, 0)),
    secrets: secrets.join(', '),
  };
  for (const [id, value] of Object.entries(values)) find(id).textContent = value;
  find('rotating').hidden = secrets.length < 2;
  showDays(days);
}

// Identifiers.

function rowOf({ identifier, listeners, kept, bytes: size, position }) {
  const row = document.createElement('tr');
  const name = make('th', identifier);
  name.scope = 'row';
  const last = position === null ? '–' : new Date(position / 1000).toISOString().slice(0, 19).replace('T', ' ');
  row.append(
    name,
    make('td', numbers.format(listeners), 'number'),
    make('td', numbers.format(kept), 'number'),
    make('td', bytes(size), 'number'),
    make('td', last),
  );
  return row;
}

async function showIdentifiers(account, after) {
  const asked = new URLSearchParams({ limit: PAGE });
  if (prefix) asked.set('prefix', prefix);
  if (after) asked.set('after', after);
  const page = await ask(account, `identifiers?${asked}`);
  if (account !== shown) return;
  const rows = page.identifiers.map(rowOf);
  if (!after && !rows.length) {
    const nothing = document.createElement('tr');
    const cell = make('td', prefix ? 'No identifier in use begins so.' : 'No identifier is in use.', 'quiet');
    cell.colSpan = 5;
    nothing.append(cell);
    rows.push(nothing);
  }
  if (after) find('identifiers').append(...rows);
  else find('identifiers').replaceChildren(...rows);
  next = page.next;
  find('more').hidden = next === null;
}

// The course of the page.

/** Ask, and tell what has failed. A token that is refused is forgotten. */
async function attempt(question) {
  const account = shown;
  try {
    await question(account);
    if (account === shown) tell('');
  } catch (error) {
    if (account !== shown) return;
    if (error instanceof Refused) {
      if (error.status === 403) leave();
      tell(error.message);
    } else {
      tell('The server does not answer. The page asks again by itself.');
    }
  }
}

async function refresh() {
  clearTimeout(timer);
  if (shown && !document.hidden) {
    await attempt(async (account) => {
      const usage = await ask(account, 'usage');
      if (account === shown) {
        showUsage(usage);
        find('account').hidden = false;
      }
    });
  }
  clearTimeout(timer);
  if (shown) timer = setTimeout(refresh, INTERVAL);
}

async function enter(token) {
  const claims = claimsOf(token);
  if (claims === null) {
    tell('This is not the token of an account: copy the whole of it, as cometify token --account has printed it.');
    return;
  }
  shown = { token, apiKey: claims.api_key };
  tell('');
  find('enter').hidden = true;
  find('whose').hidden = false;
  find('key').textContent = claims.api_key;
  find('until').textContent = `${new Date(claims.exp * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  await refresh();
  if (shown) await attempt((account) => showIdentifiers(account, ''));
}

function leave() {
  shown = null;
  clearTimeout(timer);
  tell('');
  find('account').hidden = find('whose').hidden = true;
  find('days').replaceChildren();
  find('identifiers').replaceChildren();
  find('token').value = '';
  find('enter').hidden = false;
  find('token').focus();
}

find('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  enter(find('token').value.trim());
});
find('search').addEventListener('submit', (event) => {
  event.preventDefault();
  prefix = find('prefix').value.trim();
  attempt((account) => showIdentifiers(account, ''));
});
find('more').addEventListener('click', () => attempt((account) => showIdentifiers(account, next)));
find('leave').addEventListener('click', leave);
document.addEventListener('visibilitychange', refresh);

/** Take the token out of the address, so that it is in no history and no bookmark. */
function takeFromAddress() {
  const token = location.hash.slice(1);
  if (!token) return false;
  history.replaceState(null, '', location.pathname + location.search);
  if (shown) leave();
  enter(token);
  return true;
}

addEventListener('hashchange', takeFromAddress);
if (!takeFromAddress()) find('enter').hidden = false;
