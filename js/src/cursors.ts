/**
 * Where each group is, and what was had already. A cursor goes back only after a gap: everything
 * that resumes without loss and without repeat hangs on this file.
 *
 * A group gets its pushes in the order of their positions, so what is not above its cursor was had
 * already. That is looked at for each group: one that joins later may be replayed what another had.
 */
import type { PushFrame, PushId } from './frames';
import type { Group } from './group';

/** push_ids go up to 2^63 - 1, where numbers would be rounded: compared digit by digit. */
function digits(id: PushId): string {
  return `${id}`.padStart(19);
}

/** A group with an internal id wants what is above it, even if another group lets more through. */
function wants({ identifiers, spelling }: Group, { identifier, push_id }: PushFrame): boolean {
  const id = Array.isArray(identifiers) ? 0 : identifiers[spelling.get(identifier) as string];
  return !+(id as PushId & {}) || push_id === null || digits(push_id) > digits(id as PushId);
}

function move(group: Group, position: number): boolean {
  const moves = !!group.isGap || !(position <= (group.position as number));
  if (moves) {
    group.position = position;
    group.isGap = false;
  }
  return moves;
}

/**
 * The first cursor of each group. One that resumes keeps its own: to take the server's before the
 * gap that explains it has come would lose that gap if the connection is cut between the two.
 */
export function takeReady(groups: Group[], positions: number[]): void {
  groups.forEach((group, i) => {
    if (group.position === undefined) group.position = positions[i];
    group.joined = (group.position as number) >= 0;
  });
}

/** The groups that get this push; none if it was had already, or is for nobody here. */
export function takePush(groups: Group[], push: PushFrame): Group[] {
  return groups.filter(
    (group) =>
      group.spelling.has(push.identifier) && move(group, push.position) && wants(group, push),
  );
}

/** Everything up to here was sent to every group that has joined, however quiet it is. */
export function takeHeartbeat(groups: Group[], position: number): void {
  for (const group of groups) {
    if (group.joined) move(group, position);
  }
}

/**
 * What comes next may be lower (the server's memory began anew). Returns what of this the group
 * holds, as the page spelled it.
 */
export function takeGap(group: Group, identifiers: string[]): string[] {
  const own = identifiers.map((name) => group.spelling.get(name)).filter(Boolean) as string[];
  if (own[0]) group.isGap = true;
  return own;
}
