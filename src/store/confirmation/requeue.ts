// Prepended to the Lua of every script that puts a job back into the queue.
import { readFileSync } from 'node:fs';

export const requeueLua = readFileSync(new URL('./requeue.lua', import.meta.url), 'utf8');
