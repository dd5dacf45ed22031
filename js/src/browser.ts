/** The entry of the script tag: one global, `Cometify`. */
import { init } from './index';

(self as unknown as Record<string, unknown>).Cometify = { init };
