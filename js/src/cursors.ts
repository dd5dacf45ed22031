/**
 * The cursor of each group: the position up to which the group has had its pushes. A cursor goes back
 * only after a gap. Everything that resumes without loss and without repeat depends on this file.
 *
 * A group gets its pushes in the order of their positions, so a push that is not above the cursor is
 * a repeat. Each group decides by itself, because a group that joins later may be replayed pushes
 * that another group has had.
 */
import type { PushFrame, PushId } from './frames';
import type { Group } from './group';

/** The number of digits in 2^63 - 1, the largest push_id. */
const LONGEST_ID = 19;

/** Comparable as text. As numbers, push_ids above 2^53 would be rounded. */
function digits(id: PushId): string {
  return `${id}`.padStart(LONGEST_ID);
}

/** The internal id after which the group wants this identifier. Undefined if it has none. */
function internalId({ identifiers, spelling }: Group, identifier: string): PushId | undefined {
  return Array.isArray(identifiers) ? undefined : identifiers[spelling.get(identifier) as string];
}

/** A group with an internal id wants what is above it, even if another group lets more through. */
function wants(group: Group, { identifier, push_id }: PushFrame): boolean {
  const id = internalId(group, identifier);
  return !Number(id) || push_id === null || digits(push_id) > digits(id as PushId);
}

/** Moves the cursor up, or anywhere after a gap. False if the position is not new to the group. */
function move(group: Group, position: number): boolean {
  const isNew = group.isGap || group.position === undefined || position > group.position;
  if (isNew) {
    group.position = position;
    group.isGap = false;
  }
  return isNew;
}

/**
 * Takes the first cursor of each group. A group that resumes keeps its own, because the server's may lie
 * after a gap that is told next. If the connection were cut before that, nobody would tell the gap again.
 * A refused group keeps its cursor too, and goes on from there when it joins. Returns the groups that are
 * refused for the first time.
 */
export function takeReady(groups: Group[], positions: number[], refused: number[] = []): Group[] {
  return groups.filter((group, i) => {
    const { isRefused, position = positions[i] } = group;
    group.position = position;
    group.isRefused = refused.includes(i);
    group.joined = !group.isRefused && position !== undefined;
    if (group.joined) group.accepted = group.token;
    return group.isRefused && !isRefused;
  });
}

/** The groups that get this push. None if it is a repeat, or is for no group here. */
export function takePush(groups: Group[], push: PushFrame): Group[] {
  return groups.filter(
    (group) =>
      (group.joined || !group.isRefused) &&
      group.spelling.has(push.identifier) &&
      move(group, push.position) &&
      wants(group, push),
  );
}

/**
 * Everything up to this position was sent to every joined group, however quiet it is. A poll that resumes
 * joins a group that was refused without a word.
 */
export function takeHeartbeat(groups: Group[], position: number): void {
  for (const group of groups) {
    if (!group.joined) continue;
    group.isRefused = false;
    move(group, position);
  }
}

/**
 * Notes a gap, after which positions may be lower because the server's memory began again. Returns
 * the affected identifiers of the group, as the page spelled them.
 */
export function takeGap(group: Group, identifiers: string[]): string[] {
  const affected = identifiers.map((name) => group.spelling.get(name)).filter(Boolean) as string[];
  if (affected[0]) group.isGap = true;
  return affected;
}
