/** The size gate on the files that a visitor downloads, compressed. */
import { readFileSync } from 'node:fs';
import { STATIC } from './build.mjs';
import { buildEntries } from './entries.mjs';
import { gzipped } from './gzip.mjs';

/**
 * Bytes, gzipped. A page loads the second only if it asks for `share`. An entry for a framework comes
 * on top of the client.
 */
const LIMITS = {
  'cometify.min.js': 6_000,
  'cometify.share.min.js': 1_600,
  'react.mjs': 900,
  'vue.mjs': 900,
  'echo.mjs': 900,
};

const entries = await buildEntries();
for (const [name, limit] of Object.entries(LIMITS)) {
  const bytes = entries[name] || readFileSync(STATIC + name);
  const size = gzipped(bytes);
  process.stdout.write(`${name}: ${bytes.length} bytes, ${size} gzipped of ${limit}\n`);
  if (size > limit) {
    process.stderr.write(
      `${name} is over the size gate. Shorten it, or raise LIMITS with a reason.\n`,
    );
    process.exitCode = 1;
  }
}
