/** The two lists of the live panel, newest first. */
import { find, make } from './elements.js';

/** A list shows its newest entries, and no more than these. */
const MOST = 50;

export function prepend(list, item) {
  list.prepend(item);
  while (list.children.length > MOST) list.lastElementChild.remove();
  find(`${list.id}-empty`).hidden = true;
}

function clockTime() {
  const now = new Date();
  return `${now.toLocaleTimeString('en-GB')}.${String(now.getMilliseconds()).padStart(3, '0')}`;
}

/** Adds a line to the log of states. `data` becomes data attributes, which the style sheet reads. */
export function logState(kind, words, detail = '', data = {}) {
  const item = make('li', {}, make('time', {}, clockTime()), make('strong', {}, words));
  if (detail) item.append(make('span', {}, detail));
  Object.assign(item.dataset, { kind, ...data });
  prepend(find('state-log'), item);
}
