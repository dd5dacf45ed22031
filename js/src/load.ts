/** Fetches the module that lets tabs share a listener: most pages never need it. */
import type { Share } from './share';

/** The build's: which version this is, and the hash of the share module that was built with it. */
declare const VERSION: string;
declare const INTEGRITY: string;

interface Policies {
  createPolicy(name: string, rules: object): { createScriptURL(url: string): string };
}

/**
 * Of this very version, for the two know each other's insides. Rejects if it cannot be had, or if
 * this browser does not let this page hold locks.
 */
export async function loadShare(server: string): Promise<Share> {
  await navigator.locks.query();
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    const { trustedTypes } = self as unknown as { trustedTypes?: Policies };
    const url = `${server}/${VERSION}/cometify.share.min.js`;
    script.src = trustedTypes
      ? trustedTypes.createPolicy('cometify', { createScriptURL: String }).createScriptURL(url)
      : url;
    script.integrity = INTEGRITY;
    script.crossOrigin = '';
    script.onload = () => resolve((script as unknown as { share: Share }).share);
    script.onerror = () => reject(`${url} did not load`);
    document.head.append(script);
  });
}
