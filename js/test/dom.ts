import { createRequire } from 'node:module';

/** Gives the world a document. React DOM looks for one when it is loaded, so load that afterwards. */
export function makeDocument(): Document {
  // Without its types, which need those of a newer Node.
  const { Window } = createRequire(import.meta.url)('happy-dom');
  const { document, HTMLElement, HTMLIFrameElement } = new Window();
  const window = globalThis;
  const IS_REACT_ACT_ENVIRONMENT = true;
  Object.assign(globalThis, {
    window,
    document,
    HTMLElement,
    HTMLIFrameElement,
    IS_REACT_ACT_ENVIRONMENT,
  });
  return document;
}
