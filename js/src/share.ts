/**
 * A tab's part of a shared listener. To the listener it is one more transport, whose server is the
 * leading tab's hub: a Web Lock chooses that tab, and a BroadcastChannel reaches it. The lock goes
 * to the next tab when the leading one is closed or crashes; from one that is frozen it is taken.
 */
import type { Frame } from './frames';
import type { Asked } from './group';
import { lead, type MakeRun, type Message } from './hub';
import { randomId } from './id';
import type { Ways } from './run';

/** A hub that has not said by then that it is there is frozen. */
const PATIENCE = 4_000;

/** Joins in, and gives how to take part no more, until it is opened again. */
export type Share = (name: string, ways: Ways, makeRun: MakeRun, wake: () => void) => () => void;

export const share: Share = (name, ways, makeRun, wake) => {
  const { locks } = navigator;
  /** Of a connection to the hub; a new one for each. */
  let me = '';
  /** The hub that this connection was given its `ready` by. */
  let hub = '';
  let report: (frame: Frame) => void;
  let channel: BroadcastChannel | undefined;
  let turn: AbortController;
  let timer: ReturnType<typeof setTimeout>;

  function enter(): void {
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: [from, to, frame] }: MessageEvent<Message>) => {
      if (!from) return;
      if (!frame) {
        if (from !== hub) wake();
      } else if (to ? to === me : from === hub) {
        clearTimeout(timer);
        if ((frame as Frame).type === 'ready') hub = from;
        report(frame as Frame);
      }
    };
    takeTurn({});
  }

  /** Leads when it is this tab's turn, until `turn` is aborted or the lock is taken away. */
  function takeTurn(options: LockOptions): void {
    const ours = new AbortController();
    const { signal } = ours;
    turn = ours;
    locks
      .request(name, options.steal ? options : { signal }, () => {
        if (signal.aborted) return;
        const stop = lead(new BroadcastChannel(name), randomId(), makeRun);
        return new Promise<void>((done) => {
          signal.onabort = () => {
            stop();
            done();
          };
        });
      })
      .catch(() => {
        if (signal.aborted) return;
        ours.abort();
        takeTurn({});
      });
  }

  function close(): void {
    clearTimeout(timer);
    if (channel) channel.postMessage(['', me]);
    me = hub = '';
  }

  ways.shared = (_url, listen, hear) => {
    if (!channel) enter();
    me = randomId();
    report = hear;
    const asked: Asked[] = JSON.parse(listen).groups;
    (channel as BroadcastChannel).postMessage(['', me, asked]);
    timer = setTimeout(() => {
      turn.abort();
      takeTurn({ steal: true });
    }, PATIENCE);
    return close;
  };

  enter();
  return () => {
    turn.abort();
    if (channel) channel.close();
    channel = undefined;
  };
};
