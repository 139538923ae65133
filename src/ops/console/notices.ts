// The messages after an action. The address carries only a name, so that no link can inject text.
import type { Notice } from './layout.ts';

const notices = {
  'replay-replayed': { tone: 'good', text: 'Back in the queue: it is delivered again, under the same webhook-id.' },
  'replay-in-progress': { tone: 'bad', text: 'Not replayed: it is already waiting or being delivered.' },
  'replay-superseded': { tone: 'bad', text: 'Not replayed: a correction replaced it.' },
  'replay-gone': { tone: 'bad', text: 'Not replayed: its body is gone.' },
  'replay-removed': {
    tone: 'bad',
    text: 'Not replayed: its body was removed with its job. The next sweep fetches it from the gateway.',
  },
  'replay-not-found': { tone: 'bad', text: 'Not replayed: it is not stored here.' },
  'erase-erased': { tone: 'good', text: 'Body and answers are erased.' },
  'erase-in-progress': { tone: 'bad', text: 'Not erased: a callback of this reference is still to be delivered.' },
  'erase-not-found': { tone: 'bad', text: 'Not erased: it is not stored here.' },
  replaying: { tone: 'good', text: 'All failed callbacks are going back into the queue, one after the other.' },
  'replayed-selected': { tone: 'good', text: 'The selected callbacks are back in the queue.' },
  'none-selected': { tone: 'bad', text: 'Nothing was selected.' },
  'release-released': { tone: 'good', text: 'Released: handed to intake as if it had just come.' },
  'released-some': { tone: 'bad', text: 'Not all could be released. Look at the remaining ones individually.' },
  'release-unknown': { tone: 'bad', text: 'It is no longer in quarantine.' },
  'release-bad-reference': { tone: 'bad', text: 'Not released: it needs a usable gateway reference.' },
  'release-unreadable': { tone: 'bad', text: 'Not released: its bytes are not text.' },
  'release-refused': { tone: 'bad', text: 'Not released: intake did not accept it. It stays here.' },
  discarded: { tone: 'good', text: 'Deleted from quarantine.' },
  paused: { tone: 'good', text: 'Deliveries are paused. Callbacks are still accepted.' },
  resumed: { tone: 'good', text: 'Deliveries are resumed.' },
} as const satisfies Record<string, Notice>;

export type NoticeName = keyof typeof notices;

export function noticeOf(name: string | undefined): Notice | undefined {
  return Object.entries(notices).find(([known]) => known === name)?.[1];
}
