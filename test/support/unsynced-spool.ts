// Preloaded into a service (`node --import`): its spool commits without waiting for the disk. A planted fault.
import { DatabaseSync } from 'node:sqlite';

// oxlint-disable-next-line typescript/unbound-method -- called below with the original `this`
const exec = DatabaseSync.prototype.exec;

DatabaseSync.prototype.exec = function unsyncedExec(sql: string) {
  exec.call(this, sql.replace('synchronous = FULL', 'synchronous = OFF'));
};

/** For `nodeFlags`. */
export const unsyncedSpoolFlags = ['--import', import.meta.filename];
