// How grave each state of a callback is, as the console and the command line colour it.
import type { CallbackState } from '../store/callbacks/callback-view.ts';

/** '' for a state that is neither good nor a reason to look. */
export const stateTones: Readonly<Record<CallbackState, 'good' | 'warn' | 'bad' | ''>> = {
  spooled: 'warn',
  held: 'bad',
  queued: '',
  delivering: '',
  retrying: 'warn',
  delivered: 'good',
  failed: 'bad',
  superseded: '',
  removed: 'bad',
};
