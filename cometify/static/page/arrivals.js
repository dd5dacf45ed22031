/** The pushes that arrive at this page, with how long each was on its way. */
import { find, make } from './elements.js';
import { prepend } from './logs.js';
import { recognise } from './sent.js';

function lasted(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** `live`: it came while the listener was connected. `resumed`: it was kept for it, then replayed. */
function howItCame(sent, connectingSince) {
  if (!sent) return 'elsewhere';
  return sent.sentAt < connectingSince ? 'resumed' : 'live';
}

/** The server does not tell whether a push is secret. This page knows it of its own pushes. */
function secrecyOf(sent) {
  if (!sent) return { secret: 'unknown', words: 'pushed elsewhere' };
  return sent.secret ? { secret: 'yes', words: 'secret' } : { secret: 'no', words: 'public' };
}

/** The content of a push: its text, or its data as JSON. */
function shown(content) {
  return typeof content === 'string' ? content || '(empty text)' : JSON.stringify(content);
}

/** `connectingSince`: when the listener last began to connect, by performance.now(). */
export function showArrival(listener, connectingSince, { text, id, identifier }) {
  const now = performance.now();
  const pushId = id === null || id === undefined ? '' : String(id);
  const sent = recognise(listener, { identifier, text, pushId });
  const how = howItCame(sent, connectingSince);
  const { secret, words } = secrecyOf(sent);
  const transport = listener.transport ?? '';

  const took = make('span', { class: 'took' }, sent ? lasted(now - sent.sentAt) : '');
  if (how === 'resumed') took.append(make('small', {}, ' kept, then replayed'));
  const facts = make(
    'span',
    { class: 'facts' },
    make('code', {}, identifier),
    make('span', {}, pushId ? `push_id ${pushId}` : 'no push_id'),
    make('span', { class: 'secrecy' }, words),
    make('span', {}, transport),
  );
  const item = make('li', {}, make('span', { class: 'text' }, shown(text)), took, facts);
  Object.assign(item.dataset, { identifier, pushId, secret, transport, how });
  if (sent) item.dataset.latency = (now - sent.sentAt).toFixed(1);

  const { dataset } = find('live');
  dataset.arrivals = String(Number(dataset.arrivals) + 1);
  prepend(find('arrivals'), item);
  fly();
}

/** Sends the comet along the wire of the panel. */
function fly() {
  const dot = find('wire-dot');
  if (!dot.animate || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  dot.animate(
    [
      { left: '-12%', opacity: 0 },
      { opacity: 1, offset: 0.15 },
      { opacity: 1, offset: 0.8 },
      { left: '100%', opacity: 0 },
    ],
    { duration: 700, easing: 'cubic-bezier(.2,.6,.3,1)' },
  );
}
