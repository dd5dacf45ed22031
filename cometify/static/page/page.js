/**
 * The getting-started page: puts its parts together.
 *
 * This module and its imports run before the client's script, because `line.js` must come first.
 */
import { takeKeyFromAddress } from './account.js';
import { setUpContents } from './contents.js';
import { find } from './elements.js';
import { fillGenerators, setUpGenerators } from './generators.js';
import { setUpListening, startListening } from './listening.js';
import { setUpPushing } from './pushing.js';
import { fillSamples, setUpSamples } from './samples.js';
import { setUpTabs } from './tabs.js';

/** The fields whose text appears in the samples or in the generators. */
const FIELDS = [
  'api-key',
  'server',
  'api-secret',
  'key-identifiers',
  'sign-identifier',
  'sign-text',
];

function refresh() {
  fillSamples();
  fillGenerators();
}

function setUp() {
  setUpSamples();
  setUpTabs();
  setUpGenerators();
  setUpListening();
  setUpPushing();
  setUpContents();

  find('server').value = location.origin;
  const hasKey = takeKeyFromAddress();
  for (const id of FIELDS) find(id).addEventListener('input', refresh);
  refresh();

  window.addEventListener('hashchange', () => {
    if (!takeKeyFromAddress()) return;
    refresh();
    startListening();
  });
  if (hasKey) startListening();
}

// Deferred scripts run in the order of the page. When all of them have, the client is there.
document.addEventListener('DOMContentLoaded', setUp);
