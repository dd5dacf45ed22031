/** The processes of all nodes: their version, their age, and whether they are ready. */
import type { ProcessState, Reports } from './answers';
import { ask } from './ask';
import { count, duration, make, table } from './elements';
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
];

function now({ history }: ProcessState, prefix: string): number {
  return Object.entries(history.columns)
    .filter(([name]) => name.startsWith(prefix))
    .reduce((sum, [, figures]) => sum + (figures.at(-1) || 0), 0);
}

function ready(process: ProcessState): HTMLElement {
  const reason = process.not_ready;
  return make(
    'span',
    { class: reason === null ? 'good' : 'bad' },
    reason === null ? 'yes' : reason,
  );
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
      const rows = [...told.processes]
        .sort((one, other) => one.host.localeCompare(other.host) || one.pid - other.pid)
        .map((process) => [
          process.host,
          process.worker ? `worker ${process.worker}, ${process.pid}` : `${process.pid}`,
          process.version,
          duration(process.now - process.started),
          ready(process),
          count(now(process, 'listeners.')),
          `${count(now(process, 'pushes') / process.history.every)}/s`,
          `${count(now(process, 'deliveries') / process.history.every)}/s`,
        ]);
      box.replaceChildren(table('Processes', COLUMNS, rows, 'No process has answered.'));
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
