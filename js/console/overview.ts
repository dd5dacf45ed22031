/** The overview: the figures of now, and charts of the last hour. */
import type { AccountReport, AccountsReport, ProcessState, Reports } from './answers';
import { ask } from './ask';
import { Chart, type Line, latest, type Picture, written } from './charts';
import { make } from './elements';
import { absent, faultList } from './nodes';
import { type Columns, quantile, Totals } from './totals';
import { chooseAccount, type Place, type View } from './view';

const TRANSPORTS = ['websocket', 'stream', 'events', 'poll'];
const COLOURS = 6;

/** Kept while another view is open, so that coming back asks for what is new alone. */
const everything = new Totals();
let bounds: number[] = [];

type Figure<Value = number | null> = (columns: Columns) => Value;

function lines(totals: Totals, times: number[], figures: [string, Figure][]): Line[] {
  return figures.map(([label, figure], i) => ({
    label,
    colour: (i % COLOURS) + 1,
    values: times.map((time) => figure(totals.at(time))),
  }));
}

function rate(totals: Totals, name: string): Figure<number> {
  return (columns) => (columns[name] || 0) / totals.every;
}

function refusals(totals: Totals, times: number[]): Line[] {
  const codes = totals.names('refused.');
  const sums = new Map(codes.map((code) => [code, 0]));
  for (const time of times) {
    const columns = totals.at(time);
    for (const code of codes) {
      sums.set(code, (sums.get(code) || 0) + (columns[`refused.${code}`] || 0));
    }
  }
  const most = codes.sort((one, other) => (sums.get(other) || 0) - (sums.get(one) || 0));
  const named = most.slice(0, COLOURS - 1);
  const rest = most.slice(COLOURS - 1);
  const found = lines(
    totals,
    times,
    named.map((code): [string, Figure] => [code, rate(totals, `refused.${code}`)]),
  );
  if (rest.length) {
    const values = times.map((time) =>
      rest.reduce((sum, code) => sum + rate(totals, `refused.${code}`)(totals.at(time)), 0),
    );
    found.push({ label: 'others', colour: COLOURS, values });
  }
  return found;
}

function quantiles(totals: Totals, times: number[], name: string): Line[] {
  return lines(totals, times, [
    ['half of them', (columns) => quantile(columns, name, bounds, 0.5)],
    ['99 %', (columns) => quantile(columns, name, bounds, 0.99)],
  ]);
}

/** The charts of all accounts together. */
export function pictures(totals: Totals, times: number[]): Picture[] {
  const transports = TRANSPORTS.filter((name) => totals.names('listeners.').includes(name));
  const now = transports.map((name): [string, Figure] => [
    name,
    (columns) => columns[`listeners.${name}`] || 0,
  ]);
  return [
    picture('pushes', 'rate', lines(totals, times, [['accepted', rate(totals, 'pushes')]])),
    picture('deliveries', 'rate', lines(totals, times, [['written', rate(totals, 'deliveries')]])),
    picture('listeners', 'number', lines(totals, times, now)),
    picture('lag', 'seconds', quantiles(totals, times, 'lag')),
    picture('refusals', 'rate', refusals(totals, times)),
    picture('redis', 'seconds', quantiles(totals, times, 'redis')),
  ];
}

/** The charts of one account. */
function picturesOf(totals: Totals, times: number[]): Picture[] {
  return [
    picture('pushes', 'rate', lines(totals, times, [['accepted', rate(totals, 'pushes')]])),
    picture('deliveries', 'rate', lines(totals, times, [['written', rate(totals, 'deliveries')]])),
    picture(
      'listeners',
      'number',
      lines(totals, times, [['all transports', (columns) => columns.listeners || 0]]),
    ),
    picture('refusals', 'rate', lines(totals, times, [['all codes', rate(totals, 'refused')]])),
  ];
}

/** Words above a figure of now, where the title of its chart is too long. */
const SHORT: Record<string, string> = {
  deliveries: 'Deliveries',
  lag: 'Lag, 99 %',
  redis: 'Redis, 99 %',
};

const TITLES: Record<string, [title: string, nothing: string]> = {
  pushes: ['Pushes', 'No push yet. Send one with the push box of an identifier.'],
  deliveries: ['Deliveries to listeners', 'Nothing was delivered yet.'],
  listeners: ['Listeners', 'Nobody has listened in the last hour.'],
  lag: ['Lag of deliveries', 'Nothing was delivered yet, so there is no lag.'],
  refusals: ['Refusals', 'Nothing was refused in the last hour.'],
  redis: ['Latency of Redis', 'This server has no Redis: it keeps pushes in its memory.'],
};

function picture(id: string, unit: Picture['unit'], found: Line[]): Picture {
  const [title, nothing] = TITLES[id] as [string, string];
  const isZero = unit !== 'seconds' && !found.some(({ values }) => values.some((value) => value));
  return { id, title, unit, nothing, lines: isZero ? [] : found };
}

type Told = Reports<ProcessState>;

function tiles(shown: Picture[], told: Told): HTMLElement[] {
  const { processes } = told;
  const count = processes.length + absent(told).length;
  const ready = processes.filter((process) => process.not_ready === null).length;
  const made = shown.map(({ id, title, unit, lines: found }) => {
    const values = found.map(latest);
    const isQuantile = unit === 'seconds';
    const value = isQuantile ? values[1] : values.reduce<number>((sum, one) => sum + (one || 0), 0);
    const words = SHORT[id] || title;
    return make(
      'li',
      { class: `tile-${id}` },
      make('span', {}, words),
      make('b', {}, written(unit, value)),
    );
  });
  const state = make('b', { class: ready === count ? '' : 'bad' }, `${ready} of ${count}`);
  return [...made, make('li', {}, make('span', {}, 'Processes ready'), state)];
}

async function refreshEverything(known: string[]): Promise<Told> {
  const since = everything.since(known);
  const told = await ask<Told>('console/processes', { since });
  for (const process of told.processes) {
    everything.add(process.id, process.history);
    bounds = process.bounds;
  }
  return told;
}

/** The accounts that did something in the last minute, or have listeners. */
export async function activeAccounts(): Promise<string[]> {
  const told = await ask<Reports<AccountsReport>>('console/accounts');
  const found = told.processes.flatMap((process) => [
    ...Object.keys(process.last_minute),
    ...Object.keys(process.listeners),
  ]);
  return [...new Set(found)].sort();
}

export function overview({ root, query, tell }: Place): View {
  const account = query.get('account') || '';
  const own = new Totals();
  const charts = new Map<string, Chart>();
  const trouble = make('div');
  const figures = make('ul', { class: 'tiles', 'aria-label': 'Now' });
  const grid = make('div', { class: 'charts' });
  const choice = make('select', { id: 'of', onchange: () => choose(choice.value) });
  const label = make('label', { for: 'of' }, 'Account');
  root.append(make('div', { class: 'bar' }, label, choice), trouble, figures, grid);
  choice.append(make('option', { value: '' }, 'all accounts'));
  if (account) choice.append(make('option', { value: account, selected: true }, account));
  let ids: string[] = [];
  let accountIds: string[] = [];

  function choose(value: string): void {
    if (value) chooseAccount(value);
    location.hash = value ? `overview?account=${value}` : 'overview';
  }

  async function offerAccounts(): Promise<void> {
    const offered = [...choice.options].map(({ value }) => value);
    for (const name of await activeAccounts()) {
      if (!offered.includes(name)) choice.append(make('option', { value: name }, name));
    }
  }

  function show(shown: Picture[], times: number[]): void {
    // All are in the page before one is drawn, because the width of each depends on their number.
    for (const { id, title } of shown) {
      if (charts.has(id)) continue;
      const chart = new Chart(title);
      charts.set(id, chart);
      grid.append(chart.element);
    }
    for (const one of shown) charts.get(one.id)?.show(times, one);
  }

  return {
    title: account ? `Overview of ${account}` : 'Overview',
    interval: 5000,
    async refresh() {
      const known = await refreshEverything(ids);
      const { processes } = known;
      ids = processes.map(({ id }) => id);
      const now = Math.max(...processes.map((process) => process.now));
      let until = everything.settle(ids, now);
      let totals = everything;
      if (account) {
        const since = own.since(accountIds);
        const told = await ask<Reports<AccountReport>>('console/account', { account, since });
        for (const { id, history } of told.processes) own.add(id, history);
        accountIds = told.processes.filter(({ history }) => history.samples).map(({ id }) => id);
        until = own.settle(accountIds, now);
        totals = own;
      }
      const times = totals.times(until);
      const shown = account ? picturesOf(totals, times) : pictures(totals, times);
      show(shown, times);
      trouble.replaceChildren(...faultList(known));
      figures.replaceChildren(...tiles(shown, known));
      tell('');
      await offerAccounts();
    },
  };
}
