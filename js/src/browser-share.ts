/** The share module's entry: it leaves itself on its own script element, where who loads it looks. */
import { share } from './share';

Object.assign(document.currentScript as HTMLScriptElement, { share });
