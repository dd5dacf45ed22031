/** The pushes that this page sent, by which it knows its own when they arrive. */

/** The newest pushes that are remembered. */
const MOST = 200;

/** Each is {identifier, text, pushId, secret, sentAt, seenBy}; `seenBy` holds listeners. */
const pushes = [];

/** Notes a push that is being sent now. */
export function remember(push) {
  const sent = { ...push, sentAt: performance.now(), seenBy: new WeakSet() };
  pushes.push(sent);
  if (pushes.length > MOST) pushes.shift();
  return sent;
}

/** Forgets a push that was refused. It may have been forgotten already. */
export function forget(sent) {
  const place = pushes.indexOf(sent);
  if (place >= 0) pushes.splice(place, 1);
}

/** The push of this page that has now arrived at `listener`. Undefined if another page sent it. */
export function recognise(listener, { identifier, text, pushId }) {
  const sent = pushes.find(
    (push) =>
      push.text === text &&
      push.pushId === pushId &&
      push.identifier.toLowerCase() === identifier.toLowerCase() &&
      !push.seenBy.has(listener),
  );
  sent?.seenBy.add(listener);
  return sent;
}
