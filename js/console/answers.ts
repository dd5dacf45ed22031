/** The answers of the admin endpoint, as `cometify/admin` makes them. */

/** The samples of a process, or of one account in a process. */
export interface Samples {
  /** Seconds between two samples. */
  every: number;
  /** Unix seconds of the first. */
  from: number;
  samples: number;
  columns: Record<string, number[]>;
}

/** What every report has. `worker`: only those of this machine have a number. */
export interface Process {
  id: string;
  host: string;
  pid: number;
  worker?: number;
  deaths?: number;
}

export interface Certificate {
  endpoint: string;
  /** Unix seconds. */
  not_after: number;
  /** The authority whose certificate is missing, null if the chain is whole. */
  lacks: string | null;
}

/** Redis, as one process sees it. `used` and `policy`: null if it does not tell. `most`: 0 for no bound. */
export interface RedisState {
  up: boolean;
  /** Why it is away, in its own words. */
  reason: string | null;
  used: number | null;
  most: number;
  policy: string | null;
  replicas: number | null;
  wanted_replicas: number;
}

/** Processes of older versions tell no descriptors, certificates and Redis. */
export interface ProcessState extends Process {
  version: string;
  started: number;
  now: number;
  not_ready: string | null;
  engine: 'memory' | 'redis';
  http: string[];
  /** `most`: null if there is no limit. */
  descriptors?: { used: number; most: number | null };
  certificates?: Certificate[];
  redis?: RedisState | null;
  bounds: number[];
  history: Samples;
}

export interface AccountsReport extends Process {
  last_minute: Record<string, Record<string, number>>;
  listeners: Record<string, number>;
}

export interface AccountReport extends Process {
  history: Samples;
}

export interface Refusal {
  account: string | null;
  code: string;
  detail: string;
  first: number;
  last: number;
  count: number;
}

export interface RefusalsReport extends Process {
  refusals: Refusal[];
}

/** The state of a webhook, in the process that sends to it. Times are Unix seconds. */
export interface Webhook {
  api_key: string;
  url: string;
  waiting: number;
  last_success: number | null;
  last_error: string | null;
  last_error_at: number | null;
  failing_since: number | null;
}

export interface WebhooksReport extends Process {
  webhooks: Webhook[];
}

export interface View {
  transport: string;
  secret: boolean;
  count: number;
  behind: number;
  with_internal_id: number;
  names: string[];
  names_in_all: number;
}

export interface Slow {
  listener: string | null;
  transport: string;
  seconds: number;
  unread: number;
  behind_by: number;
}

export interface KeptPush {
  position: number;
  push_id: string | null;
  secret: boolean;
  bytes: number;
}

export interface IdentifierReport extends Process {
  identifier: {
    listeners: View[];
    views: number;
    slow: Slow[];
    kept: number | null;
    bytes: number | null;
    pushes: KeptPush[];
  };
}

export interface IdentifierRow {
  identifier: string;
  listeners: number;
  kept: number;
  bytes: number;
  position: number | null;
}

export interface Counts extends IdentifierRow {
  transports: Record<string, number>;
  secret_listeners: number;
}

export interface Check {
  name: string;
  passed: boolean | null;
  detail: string;
}

/** A worker of this machine that has given no sign of life for some seconds. */
export interface SilentWorker {
  worker: number;
  pid: number;
  seconds: number;
}

/** Reports of all processes. `alone`: why those of other nodes are missing. */
export interface Reports<Report> {
  alone: string | null;
  silent: SilentWorker[];
  processes: Report[];
}
