// The process behind name-lookups.ts: it only resolves names, since each lookup may block a thread for as long as the
// system's resolver waits. It ends with its parent, and at once, since a blocked thread would delay an orderly exit.
import dns from 'node:dns';
import * as z from 'zod';

export const lookupQuestion = z.object({
  id: z.number(),
  name: z.string(),
  family: z.number(),
  hints: z.number(),
});
export type LookupQuestion = z.infer<typeof lookupQuestion>;

export const lookupReply = z.object({
  id: z.number(),
  /** The error's code; then there are no addresses. */
  code: z.string().optional(),
  addresses: z.array(z.object({ address: z.string(), family: z.number() })),
});
export type LookupReply = z.infer<typeof lookupReply>;

// Undefined if a test or a tool merely imports this file.
if (process.argv[2] === '--name-lookups') serve();

function serve(): void {
  process.on('disconnect', end);
  process.on('message', (message) => {
    const { id, name, family, hints } = lookupQuestion.parse(message);
    dns.lookup(name, { all: true, family, hints }, (error, addresses) => {
      const reply: LookupReply =
        error === null ? { id, addresses } : { id, code: error.code ?? 'EAI_FAIL', addresses: [] };
      process.send?.(reply, (failure: unknown) => failure !== null && end());
    });
  });
}

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}
