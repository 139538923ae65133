// The colour of each callback state in the console and on the command line.
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
