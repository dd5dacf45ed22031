/**
 * The decisions of a listener, without any access to the world.
 *
 * The machine has no timer, socket, page, clock or source of chance. Its input says what happened,
 * at which time, and brings a random number. Its answer is a list of effects to carry out. So every
 * order of events can be written down as a table and tested without waiting. `states.ts` explains
 * the states and holds the rule between them.
 *
 * This file has the reaction to each input and to each frame, and takes what frames bring. The fate
 * of a connection, from its opening to the attempt after it, is decided in `attempts.ts`.
 *
 * Effects on the network come before effects on the page, because the page's code may call back in.
 */
import { createAttempts } from './attempts';
import { takeGap, takeHeartbeat, takePush, takeReady } from './cursors';
import type { Input, Machine } from './effects';
import type { Frame, GapFrame, HeartbeatFrame, PushFrame, ReadyFrame } from './frames';
import { type Group, isAnyJoining } from './group';
import { errorNotice } from './notices';
import type { State } from './states';
import { createStep } from './step';
import type { Way } from './transport';

type Handlers = { [T in Input['type']]?: (input: Extract<Input, { type: T }>) => void };
type Readers = { [T in Frame['type']]: (frame: Extract<Frame, { type: T }>) => void };

/** Both lists may change: `regroup` tells of the groups, and the transports are read at each attempt. */
export function createMachine(groups: Group[], transports: Way[], server: string): Machine {
  const current = createStep();
  const attempts = createAttempts(groups, transports, current, server);

  const hide = (): void => attempts.giveUp('pause');
  const stop = (): void => attempts.giveUp('stop');
  const { tryNext, lose, wake } = attempts;
  const whileConnected: Handlers = {
    heard: hear,
    tick: lose,
    wake,
    regroup: attempts.relisten,
    hide,
    stop,
  };

  /** The reaction of each state to each input. An input that is not listed is ignored. */
  const HANDLERS: Record<State, Handlers> = {
    idle: { start: attempts.start, regroup: tryNext, stop },
    connecting: whileConnected,
    connected: whileConnected,
    // The next attempt reads the groups, so a change of them matters only if none is left.
    waiting: { tick: tryNext, wake, regroup: attempts.rest, hide, stop },
    stopped: {},
    // The refusal was of other groups. To these the server may say yes.
    failed: { regroup: tryNext, stop },
  };

  /** The reaction to each frame. A type that is not listed comes from a newer server. */
  const READERS: Readers = {
    ready: readReady,
    push: readPush,
    heartbeat: readHeartbeat,
    gap: readGap,
    error: attempts.refuse,
    reconnect: attempts.postpone,
    '(cut)': lose,
    '(opened)': attempts.expectFirstFrame,
    '(whole)': attempts.endAnswer,
  };

  function hear({ frame }: { frame: Frame }): void {
    attempts.prove();
    const read = READERS[frame.type] as ((frame: Frame) => void) | undefined;
    if (read) read(frame);
    current.effects.push({ type: 'heard', frame });
  }

  function readReady(frame: ReadyFrame): void {
    attempts.accept(frame.heartbeat * 1000);
    const { attempt } = current;
    const { positions, refused, warnings = [] } = frame;
    attempt.isFruitful = attempt.isFruitful || isAnyJoining(groups);
    const answered = attempt.unanswered.shift();
    // A `ready` that answers no `listen` tells of a right that was lost or won. The listener comes back with
    // another token, from its cursor, and so loses nothing. If it went on, the cursor would pass secret
    // pushes that it has no right to yet.
    if (!answered && groups.some(({ source }) => source)) lose();
    else {
      for (const group of takeReady(answered || attempt.asked, positions, refused)) {
        const detail = warnings[0] as string;
        current.effects.push({ type: 'deny', group, code: 'refused', detail });
      }
    }
    for (const detail of warnings.slice(refused && 1)) {
      current.effects.push(errorNotice('warning', detail));
    }
  }

  function readPush(push: PushFrame): void {
    attempts.live();
    for (const group of takePush(groups, push)) {
      current.attempt.isFruitful = true;
      current.effects.push({ type: 'push', group, push });
    }
  }

  function readHeartbeat({ position }: HeartbeatFrame): void {
    attempts.live();
    takeHeartbeat(groups, position);
  }

  function readGap({ identifiers }: GapFrame): void {
    attempts.live();
    current.attempt.isFruitful = true;
    for (const group of groups) {
      const affected = takeGap(group, identifiers);
      if (affected[0]) current.effects.push({ type: 'gap', group, identifiers: affected });
    }
  }

  return {
    get state() {
      return attempts.state;
    },
    step(input, time, chance) {
      current.effects = [];
      current.time = time;
      current.chance = chance;
      const handle = HANDLERS[attempts.state][input.type] as ((input: Input) => void) | undefined;
      if (handle && (input.type !== 'tick' || attempts.isDue())) handle(input);
      return [current.effects, current.deadline];
    },
  };
}
