/**
 * A tab's part of a shared listener. To the listener it is one more transport, whose server is the
 * leading tab's hub: a Web Lock chooses that tab, and a BroadcastChannel reaches it. The lock goes
 * to the next tab when the leading one is closed or crashes; from one that is frozen it is taken.
 */
import type { Frame } from './frames';
import type { Asked } from './group';
import { lead, type MakeRun, type Message } from './hub';
import { randomId } from './id';
import type { Input } from './machine';
import type { createRun, Ways } from './run';
import type { Way } from './transport';

/** A hub that has not said by then that it is there is frozen. */
const PATIENCE = 4_000;

/**
 * Makes the one transport of a listener the shared one. In a browser without locks or channels
 * nothing changes; where this page may not have them it rejects.
 */
export type Share = (
  run: typeof createRun,
  url: string,
  transports: Way[],
  ways: Ways,
  feed: (input: Input) => void,
) => Promise<void>;

export const share: Share = async (run, url, transports, ways, feed) => {
  const { locks } = navigator;
  if (!locks || !self.BroadcastChannel) return;
  await locks.query();
  const name = `cometify ${url}`;
  const own = transports.splice(0, 9, 'shared');
  const makeRun: MakeRun = (groups, act) => run(url, groups, [...own], ways, act);
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
        if (from !== hub) feed({ type: 'wake', network: true });
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

  function close(_: string, forNow?: boolean): void {
    clearTimeout(timer);
    if (!channel) return;
    channel.postMessage(['', me]);
    me = hub = '';
    if (!forNow) {
      turn.abort();
      channel.close();
      channel = undefined;
    }
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
};
