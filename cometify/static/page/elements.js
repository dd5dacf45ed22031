/** Elements of the page: finding one by its id, and making new ones. */

export const find = (id) => document.getElementById(id);

/** Children that are strings become text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
