/** The share module's entry. */
import { share } from './share';

self.CometifyShare = share;
