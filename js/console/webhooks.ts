/** The webhooks of all accounts: those that fail come first. */
import type { Reports, Webhook, WebhooksReport } from './answers';
import { ask } from './ask';
import { clock, count, make, table } from './elements';

const COLUMNS = [
  { title: 'Account' },
  { title: 'State' },
  { title: 'Events waiting', isNumber: true },
  { title: 'Last success' },
  { title: 'Address' },
  { title: 'Last error', isWide: true },
];

function state({ failing_since: since, last_success: success }: Webhook): HTMLElement {
  if (since !== null) return make('span', { class: 'bad' }, `fails since ${clock(since)}`);
  return make(
    'span',
    { class: success === null ? 'quiet' : 'good' },
    success === null ? 'not used yet' : 'works',
  );
}

/** A table of the webhooks, for the view of the accounts. */
export async function webhooks(): Promise<HTMLElement> {
  const { processes } = await ask<Reports<WebhooksReport>>('console/webhooks');
  const rows = processes
    .flatMap((process) => process.webhooks)
    .sort((one, other) => Number(other.failing_since !== null) - Number(one.failing_since !== null))
    .map((webhook) => [
      webhook.api_key,
      state(webhook),
      count(webhook.waiting),
      webhook.last_success === null ? null : clock(webhook.last_success),
      webhook.url,
      webhook.last_error === null
        ? null
        : `${clock(webhook.last_error_at ?? 0)}: ${webhook.last_error}`,
    ]);
  return table(
    'Webhooks',
    COLUMNS,
    rows,
    'No account has a webhook. The setting webhook of an account names its address.',
  );
}
