// `erase`: removes the personal data of one callback.
import type { Command } from 'commander';
import type { EraseOutcome } from '../store/lifecycle/erase.ts';
import { exitCodes } from './exit-codes.ts';
import { operatorSession } from './operator-session.ts';
import { runSession } from './session.ts';

const examples = `
The body, the merchant's answers and contradicting bodies in quarantine are deleted for good, and the callback can no
longer be replayed. Reference, status, times and the claim stay. The logs never contained any of it.

Examples:
  payalo-receiver erase b2p01j3abcdef0000000000000000a1b2 --yes

Exit codes: 0 erased, 1 not erased (unknown, or still to be delivered), 2 without --yes.`;

const outcomeTexts: Readonly<Record<EraseOutcome['kind'], string>> = {
  erased: 'Erased.',
  'in-progress': 'Not erased: a callback of this reference is still to be delivered.',
  'not-found': 'Not erased: no callback with this gatewayReference is stored here.',
};

export function addErase(program: Command): void {
  program
    .command('erase')
    .description('delete the personal data of a callback for good')
    .argument('<gatewayReference>', "the gateway's reference")
    .option('--yes', 'confirm the erasure')
    .option('--brand <brand>', 'needed if there are several brands')
    .addHelpText('after', examples)
    .action((gatewayReference: string, { yes, brand }: { yes?: boolean; brand?: string }, command: Command) => {
      if (yes !== true) command.error('error: this cannot be undone; add --yes', { exitCode: exitCodes.usage });
      return runSession(command, async (session) => {
        const { actor, output } = session;
        const { actions } = await operatorSession(session);
        const { kind } = await actions.erase(actor, { gatewayReference, brand });
        output.result({ gatewayReference, outcome: kind }, () => output.line(outcomeTexts[kind]));
        return kind === 'erased' ? exitCodes.done : exitCodes.no;
      });
    });
}
