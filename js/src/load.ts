/** Fetches the module that lets tabs share a listener. Most pages never need it. */
import type { Share } from './share';

/** Replaced by the build. */
declare const VERSION: string;

declare global {
  interface Window {
    /** The place where the module leaves itself. */
    CometifyShare?: Share;
  }
}

/** The script on its way. After a failure the next listener fetches it again. */
let loading: Promise<unknown> | undefined;

function load(src: string): Promise<unknown> {
  return new Promise((onload, onerror) => {
    document.head.append(Object.assign(document.createElement('script'), { src, onload, onerror }));
  });
}

/**
 * The module of this very version, because the two know each other's insides. A page that demands
 * Trusted Types or a hash must have loaded it itself. Rejects if it cannot be loaded.
 */
export async function loadShare(url: string): Promise<Share> {
  if (!self.CometifyShare) {
    loading = loading || load(`${url}../${VERSION}/cometify.share.min.js`);
    await loading.finally(() => {
      loading = undefined;
    });
  }
  return self.CometifyShare as Share;
}
