/** Fetches the module that lets tabs share a listener: most pages never need it. */
import type { Share } from './share';

/** The build's. */
declare const VERSION: string;

declare global {
  interface Window {
    /** Where the module leaves itself. */
    CometifyShare?: Share;
  }
}

/**
 * Of this very version, for the two know each other's insides; unless the page has loaded it itself,
 * as one that demands Trusted Types or a hash must. Rejects if it cannot be had.
 */
export async function loadShare(url: string): Promise<Share> {
  if (!self.CometifyShare) {
    await new Promise((onload, onerror) => {
      const src = `${url}../${VERSION}/cometify.share.min.js`;
      document.head.append(
        Object.assign(document.createElement('script'), { src, onload, onerror }),
      );
    });
  }
  return self.CometifyShare as Share;
}
