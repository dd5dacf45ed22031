/** The tabs above samples in several languages. All groups of tabs show the same language. */
import { make } from './elements.js';

/** One function for each group of tabs, which shows the language of a name. */
const groups = [];

function makeTab(panel, id) {
  panel.id = id;
  panel.setAttribute('role', 'tabpanel');
  panel.setAttribute('aria-labelledby', `${id}-tab`);
  const attributes = { type: 'button', role: 'tab', id: `${id}-tab`, 'aria-controls': id };
  const tab = make('button', attributes, panel.dataset.tab);
  tab.addEventListener('click', () => {
    const before = tab.getBoundingClientRect().top;
    for (const show of groups) show(panel.dataset.tab);
    // Another group above may have grown. Keep this one where it is on the screen.
    window.scrollBy({ top: tab.getBoundingClientRect().top - before, behavior: 'instant' });
  });
  return tab;
}

/** The place of the tab that a key leads to, or undefined for a key that leads nowhere. */
function placeAfter(key, place, last) {
  return { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: last }[key];
}

function moveByKeys(list, tabs) {
  list.addEventListener('keydown', (pressed) => {
    const place = tabs.indexOf(document.activeElement);
    const to = placeAfter(pressed.key, place, tabs.length - 1);
    if (to === undefined) return;
    pressed.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  });
}

function setUpGroup(group) {
  const panels = [...group.querySelectorAll('[data-tab]')];
  const tabs = panels.map((panel) =>
    makeTab(panel, `${group.dataset.samples}-${panel.dataset.tab.toLowerCase()}`),
  );
  const list = make('div', { role: 'tablist', 'aria-label': 'Language' }, ...tabs);
  moveByKeys(list, tabs);
  group.prepend(list);
  group.classList.add('tabbed');

  function show(language) {
    panels.forEach((panel, i) => {
      const isChosen = panel.dataset.tab === language;
      panel.hidden = !isChosen;
      tabs[i].setAttribute('aria-selected', String(isChosen));
      tabs[i].tabIndex = isChosen ? 0 : -1;
    });
  }
  groups.push(show);
  show(panels[0].dataset.tab);
}

export function setUpTabs() {
  for (const group of document.querySelectorAll('.samples')) setUpGroup(group);
}
