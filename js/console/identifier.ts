/** One identifier: its listeners, who of them is behind and why, its last pushes, a live tail and a push box. */
import type { Counts, IdentifierReport, ProcessState, Reports, Slow } from './answers';
import { ask, tell as send } from './ask';
import { bytes, clock, count, duration, make, type Row, table } from './elements';
import { onSubmit } from './identifiers';
import { canSign, keepRight, push, rightTo } from './secret';
import { guessServer, Tail } from './tail';
import type { Place, View } from './view';

const VIEWS = [
  { title: 'Process' },
  { title: 'Transport' },
  { title: 'Listeners', isNumber: true },
  { title: 'Behind', isNumber: true },
  { title: 'With an internal id', isNumber: true },
  { title: 'Secret pushes' },
  { title: 'Identifiers', isWide: true },
];
const SLOW = [
  { title: 'Listener' },
  { title: 'Transport' },
  { title: 'Why', isWide: true },
  { title: 'Action' },
];
const PUSHES = [
  { title: 'When' },
  { title: 'Position', isNumber: true },
  { title: 'push_id', isNumber: true },
  { title: 'Secret' },
  { title: 'Size', isNumber: true },
];
const NO_SIGNING =
  'Browsers sign only on pages of this machine or of HTTPS. Run ssh -L 8082:127.0.0.1:8082 server, and open http://127.0.0.1:8082/.';

function nameOf({ host, pid, worker }: IdentifierReport): string {
  return worker ? `${host}, worker ${worker}` : `${host}, ${pid}`;
}

function viewRows(processes: IdentifierReport[]): Row[] {
  return processes.flatMap((process) =>
    process.identifier.listeners.map((view) => {
      const rest = view.names_in_all - view.names.length;
      const names = view.names.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
      return [
        nameOf(process),
        view.transport,
        count(view.count),
        count(view.behind),
        count(view.with_internal_id),
        view.secret ? 'yes' : 'no',
        names,
      ];
    }),
  );
}

function why({ seconds, unread, behind_by: behind }: Slow): string {
  const waiting = unread ? `${bytes(unread)} wait for it. ` : '';
  return `It has read nothing for ${duration(seconds)}. ${waiting}It is ${duration(behind)} behind, and is closed after 60 s.`;
}

export function identifier({ root, query, tell }: Place): View {
  const account = query.get('account') || '';
  const name = (query.get('identifier') || '').toLowerCase();
  const where = { account, identifier: name };
  const facts = make('p', { class: 'quiet' });
  const tables = make('div');
  const tail = new Tail();
  const server = make('input', {
    name: 'server',
    type: 'url',
    required: true,
    autocomplete: 'off',
  });
  const known = rightTo(account);
  const right = make('input', {
    name: 'right',
    type: 'password',
    autocomplete: 'off',
    value: known?.value || '',
  });
  const listening = make(
    'form',
    {},
    make('h3', {}, 'Live tail'),
    make('label', {}, 'server, as visitors reach it', server),
    make('label', {}, 'API secret, or a token', right),
    make(
      'p',
      { class: 'quiet' },
      'It stays in this page. Without it, only public pushes are shown.',
    ),
    make(
      'div',
      { class: 'buttons' },
      make('button', {}, 'Listen'),
      make('button', { type: 'button', onclick: () => tail.stop() }, 'Stop'),
    ),
    tail.state,
    tail.list,
  );
  const pushing = make(
    'form',
    {},
    make('h3', {}, 'Push'),
    make('label', {}, 'text', make('textarea', { name: 'text', rows: 3, required: true })),
    make(
      'label',
      { class: 'beside' },
      make('input', { type: 'checkbox', name: 'secret' }),
      'secret',
    ),
    make('button', {}, 'Push'),
  );
  const pushed = make('p', { class: 'quiet', role: 'status' });
  pushing.append(pushed);
  root.append(facts, tables, make('div', { class: 'pair' }, listening, pushing));

  function readRight(): void {
    const value = right.value.trim();
    const kind = value.split('.').length === 3 && value.startsWith('ey') ? 'token' : 'secret';
    keepRight(account, value ? { kind, value } : undefined);
  }

  onSubmit(listening, () => {
    readRight();
    const held = rightTo(account);
    if (held?.kind === 'secret' && !canSign) tell(NO_SIGNING);
    else tail.start(server.value.trim(), account, name, held);
  });
  onSubmit(pushing, ({ text, secret }) => {
    readRight();
    const held = rightTo(account);
    if (!canSign) tell(NO_SIGNING);
    else if (held?.kind !== 'secret')
      tell('Type the API secret beside Live tail, because a push is signed with it.');
    else {
      push<{ listeners: number }>(account, name, held.value, { text, secret: secret ? 1 : 0 })
        .then(({ listeners }) => {
          pushed.textContent = `Pushed to ${count(listeners)} listeners of the process that took it.`;
          tell('');
        })
        .catch((failure: Error) => tell(failure.message));
    }
  });

  function disconnect(listener: string): void {
    send<{ disconnected: number }>('console/disconnect', { listener }, { account })
      .then(({ disconnected }) => tell(`${disconnected} connections end.`))
      .catch((failure: Error) => tell(failure.message));
  }

  function end({ listener }: Slow): HTMLElement | string {
    if (!listener) return '';
    return make('button', { type: 'button', onclick: () => disconnect(listener) }, 'Disconnect');
  }

  ask<Reports<ProcessState>>('console/processes', { since: Math.floor(Date.now() / 1000) })
    .then(({ processes }) => {
      server.value ||= guessServer(processes[0]);
    })
    .catch(() => {});

  return {
    title: `${name} of ${account}`,
    interval: 3000,
    async refresh() {
      const [counts, { processes }] = await Promise.all([
        ask<Counts>('console/counts', where),
        ask<Reports<IdentifierReport>>('console/identifier', where),
      ]);
      const transports = Object.entries(counts.transports)
        .filter(([, many]) => many)
        .map(([transport, many]) => `${count(many)} ${transport}`);
      facts.textContent =
        `${count(counts.listeners)} listeners${transports.length ? `: ${transports.join(', ')}` : ''}. ` +
        `${count(counts.secret_listeners)} of them get secret pushes. ` +
        `${count(counts.kept)} pushes kept, ${bytes(counts.bytes)}.`;
      const slow = processes.flatMap((process) => process.identifier.slow);
      const best = processes.reduce((one, other) =>
        (other.identifier.kept ?? -1) > (one.identifier.kept ?? -1) ? other : one,
      );
      const focus = document.activeElement;
      if (focus && tables.contains(focus) && focus.tagName === 'BUTTON') return;
      tables.replaceChildren(
        make('h3', {}, 'Listeners'),
        table('Listeners', VIEWS, viewRows(processes), `Nobody listens to ${name}.`),
        make('h3', {}, 'Who does not read'),
        table(
          'Listeners that do not read',
          SLOW,
          slow.map((one) => [one.listener ?? 'without an id', one.transport, why(one), end(one)]),
          'Every listener reads what it is sent.',
        ),
        make('h3', {}, 'Last pushes'),
        table(
          'Last pushes',
          PUSHES,
          best.identifier.pushes.map((one) => [
            clock(one.position / 1e6),
            `${one.position}`,
            one.push_id,
            one.secret ? 'yes' : 'no',
            bytes(one.bytes),
          ]),
          counts.kept
            ? 'They are in Redis. A process reads them when somebody listens: start the live tail.'
            : 'Nothing was pushed in the last ten minutes.',
        ),
      );
      tell('');
    },
    close: () => tail.stop(),
  };
}
