// Checks every few seconds what the console shows, and notifies people of changes (NOTIFY_URL).
//
// Two independent loops: one checks, one sends; nothing waits for them. Without NOTIFY_URL neither runs.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../telemetry/log.ts';
import { kinds, type Facts, type Kind, type Reading } from './kinds.ts';
import type { Notification } from './notification.ts';
import type { createOutbox } from './outbox.ts';
import type { SharedNotes } from './shared-notes.ts';
import { parseState, transitionOf, type Seen, type State, type Transition } from './transitions.ts';

export interface NotifierDeps {
  readonly readFacts: () => Promise<Facts>;
  readonly notes: SharedNotes;
  readonly outbox: ReturnType<typeof createOutbox>;
  readonly log: Log;
  readonly now?: () => number;
}

const lookEveryMs = 3_000;
const sendEveryMs = 1_000;
/** Processes notice Redis's return at slightly different times. */
const sameReturnMs = 60_000;

export function createNotifier({ readFacts, notes, outbox, log, now = Date.now }: NotifierDeps) {
  const seen = new Map<string, Seen>();
  const own = new Map<string, State>();
  const stopping = new AbortController();
  let running: Promise<unknown> | undefined;

  function see(field: string, holds: boolean): Seen {
    const before = seen.get(field);
    // A start time in the future was recorded before the clock was set back.
    if (before?.holds === holds && before.sinceMs <= now()) return before;
    const fresh = { holds, sinceMs: now() };
    seen.set(field, fresh);
    return fresh;
  }

  async function look(): Promise<void> {
    const facts = await readFacts();
    const shared = facts.overview.redis.up ? await notes.readStates().catch(() => undefined) : undefined;
    for (const kind of kinds) {
      for (const reading of kind.read(facts)) await consider(kind, reading, shared);
    }
  }

  async function consider(kind: Kind, reading: Reading, shared: Readonly<Record<string, string>> | undefined) {
    const field = `${kind.type}|${reading.brand ?? ''}`;
    if (reading.holds === undefined) return void seen.delete(field);
    const isSeen = see(field, reading.holds);
    if (kind.isOwn) {
      const passed = transitionOf(kind, own.get(field), reading, isSeen, now());
      if (passed !== undefined) await notifyOwn(field, kind, reading, passed);
      return;
    }
    if (shared === undefined) return;
    const before = shared[field];
    const passed = transitionOf(kind, parseState(before), reading, isSeen, now());
    if (passed === undefined) return;
    const notification = passed.kind === 'shrunk' ? undefined : notificationOf(kind, reading, passed);
    await notes.pass(field, before, passed.state, notification);
  }

  async function notifyOwn(field: string, kind: Kind, reading: Reading, passed: Transition): Promise<void> {
    own.set(field, passed.state);
    if (passed.kind === 'shrunk') return;
    const notification = notificationOf(kind, reading, passed);
    // Redis's return is the same event for all processes; the state of each spool is not.
    const isSame = kind.type === 'redis.down' && passed.kind === 'over';
    if (isSame && !(await notes.claim(notification.body.type, sameReturnMs).catch(() => true))) return;
    outbox.keep(notification);
  }

  function notificationOf(kind: Kind, reading: Reading, { kind: change, state }: Transition): Notification {
    const { brand, references = [] } = reading;
    const isOver = change === 'over';
    return {
      id: `msg_${randomUUID()}`,
      atMs: now(),
      body: {
        type: isOver ? `${kind.type}.over` : kind.type,
        severity: isOver ? 'info' : kind.severity,
        text: isOver ? reading.overText : reading.text,
        since: new Date(state.sinceMs).toISOString(),
        ...(!isOver && reading.count !== undefined && { count: reading.count }),
        ...(brand !== undefined && { brand }),
        ...(!isOver && references.length > 0 && { references: [...references] }),
      },
    };
  }

  async function repeat(everyMs: number, act: () => Promise<void>): Promise<void> {
    while (!stopping.signal.aborted) {
      await act().catch((error: unknown) => log.debug({ event: 'notifications.waiting', err: error }));
      await delay(everyMs, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  }

  return {
    /** One check; for tests, and for the loop. */
    look,

    start(): void {
      running = Promise.all([repeat(lookEveryMs, look), repeat(sendEveryMs, () => outbox.send(stopping.signal))]);
    },

    async stop(): Promise<void> {
      stopping.abort();
      await running;
    },
  };
}
