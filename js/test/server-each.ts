/**
 * A server for each test of the file that imports this, and the texts that the client writes to the
 * console meanwhile. Nothing is remembered from one test to the next.
 */
import { afterEach, beforeEach } from 'node:test';
import { FakeServer, type Listen } from './fake-server';
import { until } from './world';

export let server: FakeServer;

/** What was written to the console, as errors or as warnings. */
export let said: string[] = [];

let started: { stop(): void }[] = [];
const { error, warn } = console;

beforeEach(async () => {
  server = await new FakeServer().start();
  said = [];
  console.error = console.warn = (text: string) => {
    said.push(text);
  };
  for (const key of Object.keys(sessionStorage)) delete sessionStorage[key];
});

afterEach(async () => {
  for (const listener of started) listener.stop();
  started = [];
  await server.stop();
  Object.assign(console, { error, warn });
});

/** Stops the listener when the test is over. */
export function stopAfter<T extends { stop(): void }>(listener: T): T {
  started.push(listener);
  return listener;
}

/** The groups of the last `listen`. Empty while only the head of its request has arrived. */
export function lastAsked(): Listen['groups'] {
  return server.asked.at(-1)?.listen?.groups ?? [];
}

/** All `listen` frames so far. */
export function listens(): number {
  return server.asked.reduce((sum, one) => sum + one.listens, 0);
}

/** The `listen` frames of the last request. Earlier ones may have been given up on a busy machine. */
export function lastListens(): number | undefined {
  return server.asked.at(-1)?.listens;
}

/** Waits until the server has joined exactly these lists of identifiers. */
export async function asked(...names: unknown[]): Promise<void> {
  const wanted = JSON.stringify(names);
  const now = (): string => JSON.stringify(lastAsked().map(({ identifiers }) => identifiers));
  await until(() => now() === wanted && server.joined.size, wanted);
}
