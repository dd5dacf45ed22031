/** Calls into the page's code, which may be missing and may throw, without losing a push by it. */
import type { Callback } from './group';

/** Replaced by the build: true in the module, which may run in Node. */
declare const NODE: boolean;

/**
 * Runs the page's code. An error is thrown later, where the page's own error handling sees it. In Node
 * that would end the process, and with it all later pushes.
 */
export function safely(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    if (NODE && !self.addEventListener) console.error(thrown);
    else
      setTimeout(() => {
        throw thrown;
      });
  }
}

type Owner = Record<string, unknown>;

/**
 * The function of a dotted name, bound to the object that holds it. It is looked up at each push,
 * because a page may declare it after it started to listen. It is never evaluated, because a policy
 * may forbid that.
 */
export function lookUp(callback: Callback | string): Callback | undefined {
  if (typeof callback === 'function') return callback;
  const path = callback.split('.');
  const name = path.pop() as string;
  const owner = path.reduce<Owner | undefined>(
    (held, key) => held && (held[key] as Owner),
    self as unknown as Owner,
  );
  const found = owner && owner[name];
  return typeof found === 'function' ? found.bind(owner) : undefined;
}
