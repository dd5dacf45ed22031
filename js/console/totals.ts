/**
 * The samples of all processes of all nodes, added up.
 *
 * Samples of one time belong to the same five seconds in every process. A process that is gone keeps
 * its part of the hour, because what it did was done.
 */
import type { Samples } from './answers';

const HOUR = 3600;

export type Columns = Record<string, number>;

export class Totals {
  /** The sums of each time, in Unix seconds. */
  private readonly sums = new Map<number, Columns>();
  /** For each process, the time of the newest sample that was added. */
  private readonly newest = new Map<string, number>();
  every = 5;

  /** Adds the samples that are newer than those known of this process. */
  add(id: string, { every, from, samples, columns }: Samples): void {
    this.every = every;
    const known = this.newest.get(id) || 0;
    for (let i = 0; i < samples; i++) {
      const time = from + i * every;
      if (time <= known) continue;
      const sum = this.sums.get(time) || {};
      this.sums.set(time, sum);
      for (const [name, figures] of Object.entries(columns)) {
        sum[name] = (sum[name] || 0) + (figures[i] || 0);
      }
    }
    const last = from + (samples - 1) * every;
    if (samples && last > known) this.newest.set(id, last);
  }

  /**
   * Forgets what is older than an hour, and processes that are gone. The time up to which all others
   * have told their samples; one that is late by 15 s is not waited for.
   */
  settle(ids: readonly string[], now: number): number {
    for (const id of [...this.newest.keys()]) if (!ids.includes(id)) this.newest.delete(id);
    for (const time of [...this.sums.keys()]) if (time < now - HOUR) this.sums.delete(time);
    const times = ids.map((id) => this.newest.get(id) || 0).filter(Boolean);
    return Math.max(Math.min(...times), now - 15);
  }

  /** The time after which samples are missing, so that they must be asked for. */
  since(ids: readonly string[]): number {
    const times = ids.map((id) => this.newest.get(id) || 0);
    return times.length ? Math.min(...times) : 0;
  }

  /** All times up to `until`, in order, without holes. */
  times(until: number): number[] {
    const known = [...this.sums.keys()].filter((time) => time <= until);
    if (!known.length) return [];
    const last = Math.max(...known);
    const times = [];
    for (let time = Math.min(...known); time <= last; time += this.every) times.push(time);
    return times;
  }

  at(time: number): Columns {
    return this.sums.get(time) || {};
  }

  /** The names behind a prefix that any sample has. */
  names(prefix: string): string[] {
    const found = new Set<string>();
    for (const sum of this.sums.values()) {
      for (const name of Object.keys(sum)) {
        if (name.startsWith(prefix)) found.add(name.slice(prefix.length));
      }
    }
    return [...found].sort();
  }
}

/**
 * The value below which a part of all values lies, by the counts of a histogram: the columns
 * `${name}.0` and so on, whose upper bounds are `bounds`. Between two bounds it is interpolated, and
 * null if nothing was counted.
 */
export function quantile(
  columns: Columns,
  name: string,
  bounds: readonly number[],
  part: number,
): number | null {
  const counts = [...bounds, 0].map((_, i) => columns[`${name}.${i}`] || 0);
  const wanted = counts.reduce((sum, count) => sum + count, 0) * part;
  if (!wanted) return null;
  let below = 0;
  for (const [i, count] of counts.entries()) {
    if (below + count >= wanted) {
      const low = bounds[i - 1] || 0;
      const high = bounds[i] ?? low;
      return low + ((high - low) * (wanted - below)) / count;
    }
    below += count;
  }
  return bounds[bounds.length - 1] || null;
}
