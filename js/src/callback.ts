/** Calling the page's code, which may be missing and may throw, without losing a push by it. */
import type { Callback } from './group';

/** Runs the page's code; what it throws is thrown later, where the page's own error handling sees it. */
export function safely(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    setTimeout(() => {
      throw thrown;
    });
  }
}

/**
 * The function of a dotted name, bound to what holds it. Looked up at each push, for a page may
 * declare it after it started to listen; never evaluated, for a policy may forbid that.
 */
export function lookUp(callback: Callback | string | undefined): Callback | undefined {
  if (typeof callback === 'function') return callback;
  const path = (callback as string).split('.');
  const name = path.pop() as string;
  const owner = path.reduce((held, key) => held && held[key], self as any);
  const found = owner && owner[name];
  return typeof found === 'function' ? found.bind(owner) : undefined;
}
