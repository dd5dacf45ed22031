/** The pushes of the chosen channels, and the state of the connection. */
import { CometifyProvider, useConnectionState, usePushes } from 'cometify/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

function State() {
  return <p id="state">{useConnectionState()}</p>;
}

function Pushes({ channels }) {
  const [pushes, setPushes] = useState([]);
  const [gaps, setGaps] = useState([]);
  usePushes(channels, (push) => setPushes((known) => [...known, push]), {
    // A real page loads its data again here.
    onGap: ({ identifiers }) => setGaps((known) => [...known, ...identifiers]),
  });
  return (
    <>
      <ul>
        {pushes.map(({ data, identifier, position }) => (
          <li key={position}>{`${identifier}: ${data}`}</li>
        ))}
      </ul>
      <p id="gaps">{gaps.join()}</p>
    </>
  );
}

function App({ apiKey, server }) {
  const [channels, setChannels] = useState(['orders']);
  const toggle = (name) =>
    setChannels((chosen) =>
      chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name],
    );
  return (
    <CometifyProvider apiKey={apiKey} server={server}>
      <State />
      {['orders', 'news'].map((name) => (
        <label key={name}>
          <input
            type="checkbox"
            name={name}
            checked={channels.includes(name)}
            onChange={() => toggle(name)}
          />
          {name}
        </label>
      ))}
      <Pushes channels={channels} />
    </CometifyProvider>
  );
}

const place = document.getElementById('app');
createRoot(place).render(
  <StrictMode>
    <App {...place.dataset} />
  </StrictMode>,
);
