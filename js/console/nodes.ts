/** The processes of all nodes: their version, their age, whether they are ready, and how near they are to their limits. */
import type { Certificate, ProcessState, RedisState, Reports } from './answers';
import { ask } from './ask';
import { bytes, count, duration, make, type Row, table } from './elements';
import { faults, Missing, nameOf, whose } from './faults';
import type { Place, View } from './view';

const COLUMNS = [
  { title: 'Machine' },
  { title: 'Process' },
  { title: 'Version' },
  { title: 'Up for', isNumber: true },
  { title: 'Ready' },
  { title: 'Listeners', isNumber: true },
  { title: 'Pushes', isNumber: true },
  { title: 'Deliveries', isNumber: true },
  { title: 'File descriptors', isNumber: true },
];
const REDIS = [
  { title: 'As seen by' },
  { title: 'State' },
  { title: 'Memory', isNumber: true },
  { title: 'maxmemory', isNumber: true },
  { title: 'When it is full' },
  { title: 'Replicas', isNumber: true },
];
const CERTIFICATES = [
  { title: 'Machine' },
  { title: 'Endpoint' },
  { title: 'Days left', isNumber: true },
  { title: 'Chain' },
];

/** The processes that were seen. Kept while another view is open. */
const missing = new Missing();

function now({ history }: ProcessState, prefix: string): number {
  return Object.entries(history.columns)
    .filter(([name]) => name.startsWith(prefix))
    .reduce((sum, [, figures]) => sum + (figures.at(-1) || 0), 0);
}

function state(isGood: boolean, words: string): HTMLElement {
  return make('span', { class: isGood ? 'good' : 'bad' }, words);
}

function ready({ not_ready: reason }: ProcessState): HTMLElement {
  return state(reason === null, reason === null ? 'yes' : reason);
}

function descriptors({ descriptors: told }: ProcessState): string | null {
  if (!told) return null;
  return told.most === null
    ? count(told.used)
    : `${count(told.used)} of ${count(told.most)} (${Math.round((100 * told.used) / told.most)} %)`;
}

function processName({ worker, pid }: { worker?: number; pid: number }): string {
  return worker ? `worker ${worker}, ${pid}` : `${pid}`;
}

function processRow(process: ProcessState): Row {
  return [
    process.host,
    processName(process),
    process.version,
    duration(process.now - process.started),
    ready(process),
    count(now(process, 'listeners.')),
    `${count(now(process, 'pushes') / process.history.every)}/s`,
    `${count(now(process, 'deliveries') / process.history.every)}/s`,
    descriptors(process),
  ];
}

/** The row of a process that does not answer. */
function absentRow(host: string, process: string, version: string | null, seconds: number): Row {
  const words = `no answer for ${duration(Math.max(1, Math.round(seconds)))}`;
  return [host, process, version, null, state(false, words), null, null, null, null];
}

/** One row for all processes that see the same. */
function redisRows(processes: ProcessState[]): Row[] {
  const rows = new Map<string, { redis: RedisState; names: string[] }>();
  for (const process of processes) {
    if (!process.redis) continue;
    const { up, reason, policy, replicas, most } = process.redis;
    const key = JSON.stringify([up, reason, policy, replicas, most]);
    const row = rows.get(key) || { redis: process.redis, names: [] };
    rows.set(key, row);
    row.names.push(nameOf(process));
  }
  return [...rows.values()].map(({ redis, names }) => [
    whose({ words: '', names }),
    state(redis.up, redis.up ? 'serves' : redis.reason || 'not reached yet'),
    bytes(redis.used),
    redis.most ? bytes(redis.most) : redis.used === null ? null : 'not set',
    redis.policy && state(redis.policy === 'noeviction', redis.policy),
    redis.wanted_replicas
      ? state(
          (redis.replicas ?? 0) >= redis.wanted_replicas,
          `${redis.replicas ?? 0} of ${redis.wanted_replicas}`,
        )
      : 'not asked for',
  ]);
}

/** One row for all machines that have the same certificate at an endpoint. */
function certificateRows(processes: ProcessState[]): Row[] {
  const rows = new Map<string, { hosts: Set<string>; one: Certificate; at: number }>();
  for (const { host, certificates, now: at } of processes) {
    for (const one of certificates || []) {
      const key = JSON.stringify(one);
      const row = rows.get(key) || { hosts: new Set(), one, at };
      rows.set(key, row);
      row.hosts.add(host);
    }
  }
  return [...rows.values()]
    .sort((one, other) => one.one.not_after - other.one.not_after)
    .map(({ hosts, one, at }) => [
      whose({ words: '', names: [...hosts] }),
      one.endpoint,
      daysLeft(one, at),
      chain(one),
    ]);
}

function daysLeft({ not_after: end }: Certificate, at: number): HTMLElement {
  const days = Math.floor((end - at) / 86_400);
  return state(days >= 14, days < 0 ? `expired ${-days} days ago` : `${days}`);
}

function chain({ lacks }: Certificate): HTMLElement {
  return state(lacks === null, lacks === null ? 'whole' : `lacks ${lacks}`);
}

/** The faults as a list, or nothing. */
export function faultList(told: Reports<ProcessState>): HTMLElement[] {
  const found = faults(told, Date.now() / 1000);
  if (!found.length) return [];
  const rows = found.map((fault) =>
    make('li', {}, make('b', {}, whose(fault)), `: ${fault.words}`),
  );
  return [make('ul', { class: 'faults', 'aria-label': 'Faults' }, ...rows)];
}

/** Everybody who should answer and does not, as rows of the table of processes. */
export function absent(told: Reports<ProcessState>): Row[] {
  const here = told.processes.find(({ worker }) => worker)?.host ?? '';
  return [
    ...told.silent.map((one) => absentRow(here, processName(one), null, one.seconds)),
    ...missing
      .note(told, performance.now() / 1000)
      .map(([process, seconds]) =>
        absentRow(process.host, processName(process), process.version, seconds),
      ),
  ];
}

export function nodes({ root, tell }: Place): View {
  const box = make('div');
  root.append(box);
  return {
    title: 'Nodes',
    interval: 5000,
    async refresh() {
      const since = Math.floor(Date.now() / 1000) - 15;
      const told = await ask<Reports<ProcessState>>('console/processes', { since });
      const versions = new Set(told.processes.map(({ version }) => version));
      const processes = [...told.processes].sort(
        (one, other) => one.host.localeCompare(other.host) || one.pid - other.pid,
      );
      const rows = [...absent(told), ...processes.map(processRow)];
      box.replaceChildren(
        ...faultList(told),
        table('Processes', COLUMNS, rows, 'No process has answered.'),
      );
      for (const [title, columns, found] of [
        ['Redis', REDIS, redisRows(processes)],
        ['Certificates', CERTIFICATES, certificateRows(processes)],
      ] as const) {
        if (found.length) box.append(make('h3', {}, title), table(title, [...columns], found, ''));
      }
      const words = [];
      if (told.alone) words.push(told.alone);
      if (versions.size > 1)
        words.push(`${versions.size} versions run together: go on with the update.`);
      if (told.processes.every(({ engine }) => engine === 'memory'))
        words.push('This server keeps pushes in its memory, so there are no other nodes.');
      box.append(...words.map((word) => make('p', { class: 'quiet' }, word)));
      tell('');
    },
  };
}
