/** The faults that the reports of all processes show, each with words that say what to do. */
import type { ProcessState, Reports } from './answers';
import { bytes, count, duration } from './elements';

/** Parts of a limit above which it is told. */
const FULL = { memory: 0.8, descriptors: 0.9 };
const DAY = 86_400;
/** Seconds before the end of a certificate at which it is told. */
const SOON = 14 * DAY;
/** Seconds by which clocks may differ. An answer can be a second old. */
const APART = 3;

type Told = Reports<ProcessState>;

/** A process, in words. */
export function nameOf({ host, pid, worker }: ProcessState): string {
  return worker ? `${host} worker ${worker}, ${pid}` : `${host} ${pid}`;
}

function left(notAfter: number, now: number): string {
  const seconds = notAfter - now;
  return seconds > 0 ? `expires in ${duration(seconds)}` : `expired ${duration(-seconds)} ago`;
}

/** How far the clock of each process is ahead of most others, or of `now` if there are only two. Unix seconds. */
function clockFaults(processes: ProcessState[], now: number): [string, ProcessState][] {
  const ahead = processes.map((process) => process.now - now).sort((one, other) => one - other);
  const middle = processes.length > 2 ? ahead[Math.floor(ahead.length / 2)] || 0 : 0;
  if (Math.abs(middle) > APART) {
    const words = `The clocks of most nodes are ${apart(middle)} that of this browser: one of both is wrong.`;
    return [[words, processes[0] as ProcessState]];
  }
  return processes
    .map((process): [number, ProcessState] => [process.now - now - middle, process])
    .filter(([seconds]) => Math.abs(seconds) > APART)
    .map(([seconds, process]) => [
      `Its clock is ${apart(seconds)} ${processes.length > 2 ? 'those of the others' : 'that of this browser'}: start NTP.`,
      process,
    ]);
}

function apart(seconds: number): string {
  return `${duration(Math.abs(seconds))} ${seconds > 0 ? 'ahead of' : 'behind'}`;
}

function faultsOf(process: ProcessState, now: number): string[] {
  const found: string[] = [];
  const { redis, descriptors, certificates, not_ready: reason } = process;
  if (redis && !redis.up) found.push(`Redis is away: ${redis.reason || 'not reached yet'}.`);
  else if (reason && reason !== 'replicas_missing') found.push(`It is not ready: ${reason}.`);
  if (redis?.up && (redis.replicas ?? 0) < redis.wanted_replicas) {
    const there = `${redis.replicas ?? 0} of ${redis.wanted_replicas}`;
    found.push(`${there} replicas of Redis answer, so all pushes are refused: start a replica.`);
  }
  if (redis?.policy && redis.policy !== 'noeviction') {
    found.push(`Redis drops keys when it is full (${redis.policy}): set noeviction.`);
  }
  if (redis?.used && redis.most && redis.used > FULL.memory * redis.most) {
    found.push(
      `Redis uses ${bytes(redis.used)} of ${bytes(redis.most)}: raise maxmemory before it is full.`,
    );
  }
  if (descriptors?.most && descriptors.used > FULL.descriptors * descriptors.most) {
    const used = `${count(descriptors.used)} of ${count(descriptors.most)}`;
    found.push(`${used} file descriptors are in use: raise LimitNOFILE.`);
  }
  for (const { endpoint, not_after: end, lacks } of certificates || []) {
    if (end - now < SOON) found.push(`The certificate of ${endpoint} ${left(end, now)}: renew it.`);
    if (lacks) found.push(`The certificate of ${endpoint} lacks that of its authority: ${lacks}.`);
  }
  return found;
}

/** A fault, and the processes that tell of it. */
export interface Fault {
  words: string;
  names: string[];
}

/** All faults, those of the most processes first. `now`: Unix seconds of the browser. */
export function faults({ processes, silent }: Told, now: number): Fault[] {
  const found = new Map<string, string[]>();
  const note = (words: string, name: string) =>
    found.set(words, [...(found.get(words) || []), name]);
  for (const { worker, pid, seconds } of silent) {
    note(`It gives no sign of life, for ${duration(seconds)} now.`, `worker ${worker}, ${pid}`);
  }
  for (const process of processes) {
    for (const words of faultsOf(process, process.now)) note(words, nameOf(process));
  }
  for (const [words, process] of clockFaults(processes, now)) note(words, nameOf(process));
  return [...found]
    .map(([words, names]) => ({ words, names }))
    .sort((one, other) => other.names.length - one.names.length);
}

/** The names of a fault's processes: the first, and how many more. */
export function whose({ names }: Fault): string {
  return names.length > 1 ? `${names[0]} and ${names.length - 1} more` : `${names[0]}`;
}

/** Remembers the processes that have answered, so that one that is frozen, or a node that is gone, is missed. */
export class Missing {
  private readonly seen = new Map<string, { process: ProcessState; at: number }>();

  /**
   * The processes that have answered before, with the seconds since then. `now`: seconds of a clock that never goes back.
   * One is forgotten after five minutes, when a younger process of its machine has come in its place, or while the other
   * nodes cannot be asked.
   */
  note({ processes, silent, alone }: Told, now: number): [ProcessState, number][] {
    for (const process of processes) this.seen.set(process.id, { process, at: now });
    const pids = new Set(silent.map(({ pid }) => pid));
    const found: [ProcessState, number][] = [];
    for (const [id, { process, at }] of this.seen) {
      if (at === now) continue;
      const last = process.now;
      const isReplaced = processes.some(
        ({ host, started }) => host === process.host && started > last - 5,
      );
      if (now - at > 300 || isReplaced || alone || pids.has(process.pid)) {
        if (now - at > 300 || isReplaced) this.seen.delete(id);
      } else found.push([process, now - at]);
    }
    return found;
  }
}
