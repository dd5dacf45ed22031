/** The newest values of 20 metrics. Values that are POSTed are pushed to all open pages. */
import { fileURLToPath } from 'node:url';
import { Cometify } from 'cometify-node';
import express from 'express';

const cometify = Cometify.fromUrl();
const here = fileURLToPath(new URL('.', import.meta.url));
const metrics = Object.fromEntries(
  Array.from({ length: 20 }, (_, number) => [`metric_${number}`, { value: null, at: 0 }]),
);

const app = express();
app.get('/', (_request, response) => response.sendFile('index.html', { root: here }));
app.use('/dist', express.static(`${here}dist`));
app.use(express.json());

app.get('/metrics', async (_request, response) => {
  // It is taken before the values are read, so that a page misses none. If Cometify is away, the clock will do.
  const since = await cometify.position().catch(() => Date.now() * 1000 - 5_000_000);
  response.json({ apiKey: cometify.apiKey, server: cometify.server, since, metrics });
});

app.post('/metrics', async (request, response) => {
  const at = Date.now();
  const named = Object.entries(request.body ?? {}).filter(([name]) => Object.hasOwn(metrics, name));
  if (named.length === 0) return response.status(400).send('Send {"metric_0": 1}.');
  for (const [name, value] of named) metrics[name] = { value, at };
  const pushes = named.map(([name]) => ({ identifier: name, content: metrics[name] }));
  await cometify.batch(pushes).catch((error) => console.error(error.message)); // the values are kept
  response.sendStatus(204);
});

app.listen(process.env.PORT ?? 8000, '127.0.0.1');
