/** The last refusals of all processes: when, which account, which code, and the words that the caller got. */
import type { Refusal, RefusalsReport, Reports } from './answers';
import { ask } from './ask';
import { clock, count, make, table } from './elements';
import type { Place, View } from './view';

const COLUMNS = [
  { title: 'Last' },
  { title: 'Account' },
  { title: 'Code' },
  { title: 'Times', isNumber: true },
  { title: 'What the caller was told', isWide: true },
];

/** Makes one row of those of several processes that are alike. */
function merged(processes: RefusalsReport[]): Refusal[] {
  const rows = new Map<string, Refusal>();
  for (const row of processes.flatMap(({ refusals }) => refusals)) {
    const key = JSON.stringify([row.account, row.code, row.detail]);
    const known = rows.get(key);
    if (known) {
      known.count += row.count;
      known.last = Math.max(known.last, row.last);
      known.first = Math.min(known.first, row.first);
    } else rows.set(key, { ...row });
  }
  return [...rows.values()].sort((one, other) => other.last - one.last);
}

export function refusals({ root, tell }: Place): View {
  const box = make('div');
  root.append(
    make(
      'p',
      { class: 'quiet' },
      'Refusals that are alike are one row. API keys of no account, keys, tokens and texts are not kept.',
    ),
    box,
  );
  return {
    title: 'Refusals',
    interval: 5000,
    async refresh() {
      const told = await ask<Reports<RefusalsReport>>('console/refusals');
      const rows = merged(told.processes).map((row) => [
        clock(row.last),
        row.account ?? 'unknown API key',
        row.code,
        count(row.count),
        row.detail,
      ]);
      box.replaceChildren(
        table('The last refusals', COLUMNS, rows, 'Nothing was refused since the servers started.'),
      );
      tell('');
    },
  };
}
