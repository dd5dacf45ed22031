/** The pushes of the chosen channels, and the state of the connection. */
import { provideCometify, useConnectionState, usePushes } from 'cometify/vue';
import { createApp, ref } from 'vue';

const App = {
  setup() {
    const channels = ref(['orders']);
    const pushes = ref([]);
    const gaps = ref([]);
    usePushes(channels, (push) => pushes.value.push(push), {
      // A real page loads its data again here.
      onGap: ({ identifiers }) => gaps.value.push(...identifiers),
    });
    return { channels, gaps, pushes, state: useConnectionState() };
  },
  template: `
    <p id="state">{{ state }}</p>
    <label v-for="name in ['orders', 'news']">
      <input type="checkbox" :name="name" :value="name" v-model="channels">{{ name }}
    </label>
    <ul>
      <li v-for="{ data, identifier, position } in pushes" :key="position">{{ identifier }}: {{ data }}</li>
    </ul>
    <p id="gaps">{{ gaps.join() }}</p>
  `,
};

const place = document.getElementById('app');
const { apiKey, server } = place.dataset;
const app = createApp(App);
provideCometify({ apiKey, server }, app);
app.mount(place);
