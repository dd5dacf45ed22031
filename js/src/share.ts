/**
 * A tab's part of a shared listener. To the listener it is one more transport, whose server is the
 * leading tab's hub. A Web Lock chooses the leading tab, and a BroadcastChannel reaches it.
 *
 * The lock goes to the next tab when the leading one is closed or crashes. A frozen tab keeps its
 * lock but says nothing, so the lock is taken from it after a while.
 */

import type { Input } from './effects';
import type { Frame } from './frames';
import type { Asked } from './group';
import { lead, type MakeRun, type Message } from './hub';
import { randomId } from './id';
import type { createRun, Ways } from './run';
import type { Way } from './transport';

/** A hub that has not answered after so many milliseconds is frozen. */
const PATIENCE = 4_000;

/**
 * Makes the shared transport the only one of a listener. Nothing changes in a browser without locks
 * or channels. Rejects if the page may not use them.
 */
export type Share = (
  makeRun: typeof createRun,
  url: string,
  transports: Way[],
  ways: Ways,
  feed: (input: Input) => void,
) => Promise<void>;

export const share: Share = async (createOwnRun, url, transports, ways, feed) => {
  const { locks } = navigator;
  if (!locks || !self.BroadcastChannel) return;
  // Rejects where the page may not use locks.
  await locks.query();
  const name = `cometify ${url}`;
  /** The transports of the hub, if this tab leads. */
  const hubTransports = transports.splice(0, transports.length, 'shared');
  const makeRun: MakeRun = (groups, act) =>
    createOwnRun(url, groups, [...hubTransports], ways, act);

  /** This connection to the hub. Each has a new id. */
  let connectionId = '';
  /** The hub that gave this connection its `ready`. */
  let hubId = '';
  let report: (frame: Frame) => void;
  let channel: BroadcastChannel | undefined;
  let turn: AbortController;
  let timer: ReturnType<typeof setTimeout>;

  function enter(): void {
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [from, to, frame] }: MessageEvent<Message>) => {
      // Without a sender it is another tab's message to the hub.
      if (!from) return;
      if (!frame) {
        // A new hub can be asked.
        if (from !== hubId) feed({ type: 'wake', network: true });
      } else if (to ? to === connectionId : from === hubId) {
        clearTimeout(timer);
        if ((frame as Frame).type === 'ready') hubId = from;
        report(frame as Frame);
      }
    };
    takeTurn({});
  }

  /** Leads when it is this tab's turn, until `turn` is aborted or the lock is taken away. */
  function takeTurn(options: LockOptions): void {
    const ownTurn = new AbortController();
    const { signal } = ownTurn;
    turn = ownTurn;
    locks
      // A request that steals may not have a signal.
      .request(name, options.steal ? options : { signal }, () => {
        if (signal.aborted) return;
        const stopLeading = lead(new BroadcastChannel(name), randomId(), makeRun);
        return new Promise<void>((release) => {
          signal.onabort = () => {
            stopLeading();
            release();
          };
        });
      })
      .catch(() => {
        if (signal.aborted) return;
        // The lock was stolen from this tab, which was frozen. It queues again.
        ownTurn.abort();
        takeTurn({});
      });
  }

  function stealTurn(): void {
    turn.abort();
    takeTurn({ steal: true });
  }

  function close(forNow: boolean): void {
    clearTimeout(timer);
    if (!channel) return;
    channel.postMessage(['', connectionId]);
    connectionId = hubId = '';
    if (forNow) return;
    turn.abort();
    channel.close();
    channel = undefined;
  }

  ways.shared = (_url, listen, hear) => {
    if (!channel) enter();
    connectionId = randomId();
    report = hear;
    const asked: Asked[] = JSON.parse(listen).groups;
    (channel as BroadcastChannel).postMessage(['', connectionId, asked]);
    timer = setTimeout(stealTurn, PATIENCE);
    return { close };
  };
};
