/**
 * Polls through the edge: a cache before the server that gives many listeners one answer. So the URL must
 * be the same for all of them, byte for byte. It has the identifiers in lower case and in the order of the
 * alphabet, then the position, and nothing that differs from one listener to another.
 *
 * Only public pushes come this way. If a group has a key, a token or internal ids, the poll goes to the
 * server itself, with a `listen` frame as ever.
 *
 * It is in the module only, because the script has no room for it.
 */
import type { Frame } from './frames';
import { type Asked, isPublic } from './group';
import { openHttp, readAnswer } from './http';
import { EMPTY_ANSWER } from './timing';
import type { Open } from './transport';

function isJoining({ position }: Asked): boolean {
  return position === undefined;
}

/** The query of the poll for some groups, which all join or all resume. */
function queryOf(groups: Asked[]): string {
  const names = groups.map(({ identifiers }) => `${identifiers}`.toLowerCase()).join();
  const query = `?identifiers=${[...new Set(names.split(','))].sort()}`;
  const position = Math.min(...groups.map((group) => group.position as number));
  // One query has one position. The lowest loses nothing, and each group drops what it has had.
  return isJoining(groups[0] as Asked) ? query : `${query}&position=${position}`;
}

/**
 * Makes the poll transport of a listener whose public polls go to `edge`, an origin. Groups that have no
 * position yet join first, in a poll of their own, because a query has one position for all.
 */
export function openEdge(edge: string): Open {
  return (url, listen, report) => {
    const groups: Asked[] = JSON.parse(listen).groups;
    if (!groups.every(isPublic)) return openHttp(url, listen, report);
    const joining = groups.filter(isJoining);
    const isJoin = !!joining[0];
    let isEmpty = !isJoin;

    function hear(frame: Frame): void {
      const { type } = frame;
      if (type === 'ready') {
        const [first] = frame.positions;
        report({ ...frame, positions: groups.map(({ position = first as number }) => position) });
      } else if (type === 'heartbeat') {
        // In a join it would also move the groups that were not asked for.
        if (!isJoin) report(frame);
      } else {
        isEmpty = false;
        report(frame);
      }
    }

    /** An old answer may be a heartbeat that comes at once. It is in order, so it must not look like a fault. */
    function end(frame: Frame): void {
      setTimeout(() => report(frame), isEmpty ? EMPTY_ANSWER : 0);
    }

    const [path] = /\/[^/]+\/[^/]+$/.exec(url) as unknown as [string];
    const target = edge.replace(/\/*$/, path) + queryOf(isJoin ? joining : groups);
    const abort = new AbortController();
    const { signal } = abort;
    // The browser's own cache would let tabs that ask for the same wait for one another.
    const init: RequestInit = { signal, credentials: 'omit', cache: 'no-store' };
    readAnswer(target, init, hear).then(end, () => report({ type: '(cut)' }));
    return { close: () => abort.abort() };
  };
}
