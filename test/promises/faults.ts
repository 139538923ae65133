// The faults: each breaks one part of the system for a while and then repairs it. Each file of `faults/` has one kind.
import { diskFaults } from './faults/disk-faults.ts';
import type { Fault } from './faults/fault.ts';
import { merchantFaults } from './faults/merchant-faults.ts';
import { processFaults } from './faults/process-faults.ts';
import { queueFaults } from './faults/queue-faults.ts';
import { reconcileFaults } from './faults/reconcile-faults.ts';
import { redisFaults } from './faults/redis-faults.ts';
import { replicaFaults } from './faults/replica-faults.ts';

export type { Fault } from './faults/fault.ts';

export const faults: readonly Fault[] = [
  ...redisFaults,
  ...processFaults,
  ...merchantFaults,
  ...reconcileFaults,
  ...queueFaults,
  ...replicaFaults,
  ...diskFaults,
];
