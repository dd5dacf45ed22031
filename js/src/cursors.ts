/**
 * Where each group is, and what was had already. A cursor goes back only after a gap: everything
 * that resumes without loss and without repeat hangs on this file.
 */
import type { PushFrame } from './frames';
import type { Group } from './group';

/** The position of the last push had of each identifier, over all groups and connections. */
export type Last = Map<string, number>;

function holders(groups: Group[], identifier: string): Group[] {
  return groups.filter((group) => group.spelling.has(identifier));
}

function move(group: Group, position: number): void {
  if (group.gap || group.position === undefined || position > group.position) {
    group.position = position;
  }
  group.gap = false;
}

/**
 * The first cursor of each group. One that resumes keeps its own: to take the server's before the
 * gap that explains it has come would lose that gap if the connection is cut between the two.
 */
export function takeReady(groups: Group[], positions: number[]): void {
  groups.forEach((group, i) => {
    if (group.position === undefined) group.position = positions[i];
  });
}

/** The groups that get this push; none if it was had already, or is for nobody here. */
export function takePush(groups: Group[], last: Last, push: PushFrame): Group[] {
  const { identifier, position } = push;
  if (position <= (last.get(identifier) as number)) return [];
  last.set(identifier, position);
  const those = holders(groups, identifier);
  for (const group of those) move(group, position);
  return those;
}

/** Everything up to here was sent to every group that has begun, however quiet it is. */
export function takeHeartbeat(groups: Group[], position: number): void {
  for (const group of groups) {
    if (group.position !== undefined) move(group, position);
  }
}

/** What comes next may be lower (the server's memory began anew). Returns the page's spellings. */
export function takeGap(groups: Group[], last: Last, identifiers: string[]): string[] {
  return identifiers.map((identifier) => {
    let spelled = identifier;
    last.delete(identifier);
    for (const group of holders(groups, identifier)) {
      spelled = group.spelling.get(identifier) as string;
      group.gap = true;
    }
    return spelled;
  });
}
