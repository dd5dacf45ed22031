/**
 * The size of a file as a visitor downloads it. Servers and proxies compress with different programs, which
 * make the same script up to 1 % larger or smaller. The largest counts.
 */
import { gzipSync } from 'node:zlib';
import { gzip } from 'pako';

/** Node has the zlib of Chromium. The one that other programs have, pako repeats byte for byte. */
export function gzipped(bytes) {
  return Math.max(gzipSync(bytes, { level: 9 }).length, gzip(bytes, { level: 9 }).length);
}
