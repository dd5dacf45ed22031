/** The metrics, which change while the page is open, and the state of the connection. */
import { CometifyProvider, useConnectionState, usePushes } from 'cometify/react';
import { StrictMode, useReducer } from 'react';
import { createRoot } from 'react-dom/client';

const load = async () => (await fetch('metrics')).json();

/** The newest value of each metric. A value can come twice, and late. */
function merge(known, metrics) {
  const merged = { ...known };
  for (const [name, metric] of Object.entries(metrics)) {
    if (metric.at >= known[name].at) merged[name] = metric;
  }
  return merged;
}

function State() {
  return <p id="state">{useConnectionState()}</p>;
}

function Metrics({ initial, since }) {
  const [metrics, add] = useReducer(merge, initial);
  usePushes(Object.keys(initial), ({ identifier, data }) => add({ [identifier]: data }), {
    since,
    onGap: () => load().then((page) => add(page.metrics)),
  });
  return (
    <dl>
      {Object.entries(metrics).map(([name, { value }]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

load().then(({ apiKey, server, since, metrics }) =>
  createRoot(document.getElementById('app')).render(
    <StrictMode>
      <CometifyProvider apiKey={apiKey} server={server}>
        <State />
        <Metrics initial={metrics} since={since} />
      </CometifyProvider>
    </StrictMode>,
  ),
);
