/** The entry of the share module. */
import { share } from './share';

self.CometifyShare = share;
