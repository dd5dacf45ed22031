/** The entry of the script tag: one global, `Cometify`. */
import { connect, init } from './index';

(self as unknown as Record<string, unknown>).Cometify = { connect, init };
