/** The buttons that copy a text to the clipboard. */
import { make } from './elements.js';

/** The time for which a button shows the result, in milliseconds. */
const SHOWN_FOR = 1600;

/** Copies the text of an element. True if it is on the clipboard, false if it is only selected. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // Outside of https and localhost there is no clipboard. Select the text and ask the old way.
    window.getSelection().selectAllChildren(element);
    return document.execCommand('copy');
  }
}

/** A button that copies the text of `element`, which is named by `what` for those who cannot see it. */
export function copyButton(element, what) {
  const attributes = { type: 'button', class: 'copy', 'aria-label': `Copy ${what}` };
  const button = make('button', attributes, 'Copy');
  let timer;
  button.addEventListener('click', async () => {
    button.textContent = (await copy(element)) ? 'Copied' : 'Selected';
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.textContent = 'Copy';
    }, SHOWN_FOR);
  });
  return button;
}
