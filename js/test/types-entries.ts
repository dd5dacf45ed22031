/**
 * The published types of the entries for frameworks: those of the sources, and misuse does not compile.
 * None of this runs.
 */
import Echo from 'laravel-echo';
import { ref } from 'vue';
import { connect } from '../cometify';
import * as echo from '../echo';
import * as react from '../react';
import type * as echoSource from '../src/echo';
import type * as reactSource from '../src/react';
import type * as vueSource from '../src/vue';
import * as vue from '../vue';

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const same: [
  Same<react.PushesOptions, reactSource.PushesOptions>,
  Same<react.CometifyProviderProps, reactSource.CometifyProviderProps>,
  Same<typeof react.CometifyProvider, typeof reactSource.CometifyProvider>,
  Same<typeof react.usePushes, typeof reactSource.usePushes>,
  Same<typeof react.useConnectionState, typeof reactSource.useConnectionState>,
  Same<vue.PushesOptions, vueSource.PushesOptions>,
  Same<typeof vue.provideCometify, typeof vueSource.provideCometify>,
  Same<typeof vue.usePushes, typeof vueSource.usePushes>,
  Same<typeof vue.useConnectionState, typeof vueSource.useConnectionState>,
] = [true, true, true, true, true, true, true, true, true];

/** The class of the source has private members, so it can only be more than the published one. */
export function published(source: echoSource.CometifyConnector): echo.CometifyConnector {
  return source;
}

const options = { apiKey: 1, server: 'https://push.example.org' };
const connection = connect(options);

// Correct use.
react.CometifyProvider({ ...options, children: null });
react.CometifyProvider({ connection });
react.usePushes(['a', 'b'], ({ data, event, identifier }) => [data.total, event, identifier]);
react.usePushes<{ total: number }>('a', ({ data }) => data.total + 1, {
  token: async () => 'x.y.z',
  since: 5,
  onGap: ({ identifiers }) => identifiers.join(),
});
react.usePushes(Math.random() > 0.5 && 'a', () => {});
react.useConnectionState().trim();
vue.provideCometify(options);
vue.provideCometify(connection);
vue.usePushes(ref(['a']), ({ data }) => data.total);
vue.usePushes<string>(
  () => null,
  ({ data }) => data.trim(),
  () => ({ secureKey: 'k' }),
);
vue.useConnectionState().value.trim();
new Echo({ broadcaster: echo.CometifyConnector, key: '1', server: 'https://push.example.org' });

// Wrong use.
// @ts-expect-error no apiKey
react.CometifyProvider({ server: 'https://push.example.org' });
// @ts-expect-error no function
react.usePushes('a');
// @ts-expect-error there is no such option
react.usePushes('a', () => {}, { secretKey: 'k' });
// @ts-expect-error the data is no number
react.usePushes<string>('a', ({ data }) => data + 1 - 1);
// @ts-expect-error neither options nor a connection
vue.provideCometify();
// @ts-expect-error identifiers are strings
vue.usePushes(ref([5]), () => {});
