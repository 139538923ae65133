// Preloaded into a service (`node --import`): each SQLite commit takes TEST_COMMIT_MS, as on a disk with a slow fsync.
// Threads of the process load it too.
import { DatabaseSync } from 'node:sqlite';

const commitMs = Number(process.env['TEST_COMMIT_MS'] ?? 0);
// oxlint-disable-next-line typescript/unbound-method -- called below with the original `this`
const exec = DatabaseSync.prototype.exec;

DatabaseSync.prototype.exec = function slowExec(sql: string) {
  if (sql === 'COMMIT') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, commitMs);
  exec.call(this, sql);
};

/** For `nodeFlags`. */
export const slowCommitFlags = ['--import', import.meta.filename];
