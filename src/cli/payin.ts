// `payin`: starts a transaction and follows it, line by line, to the merchant's answer; with --json prints all of it at the
// end.
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { Argument, InvalidArgumentError, type Command } from 'commander';
import { createCallbackIndex } from '../store/callbacks/callback-index.ts';
import { createBrandScopes, type BrandScope } from '../reconcile/brand-scope.ts';
import { systemClock } from '../reconcile/clock.ts';
import { followCallback, type FollowEvent } from './follow-callback.ts';
import { describeFailure } from '../reconcile/gateway/gateway-client.ts';
import { payin } from './start-payin.ts';
import type { Brand } from '../config/brands.ts';
import { isLoopback } from '../config/config.ts';
import { parseDurationMs } from '../time/duration.ts';
import { directIntake } from './direct-intake.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { noteAction } from './operator-session.ts';
import { inSession, type Session } from './session.ts';
import { noGateway } from './unanswered.ts';

const examples = `
Examples:
  payalo-receiver payin mpesa-ke --amount 100.00 --currency KES --msisdn +254700000000 --country KE
  payalo-receiver payin mpesa-ke --amount 10 --currency KES --msisdn +254712345678 --country KE \\
    --result-url https://example.trycloudflare.com/webhooks/payalo

Exit codes: 0 the merchant answered 2xx, 1 refused or not delivered in time, 2 wrong usage, 69 the gateway did not answer.`;

interface PayinOptions {
  readonly amount: string;
  readonly currency: string;
  readonly msisdn: string;
  readonly country: string;
  readonly resultUrl?: string;
  readonly reference?: string;
  readonly payerId?: string;
  readonly brand?: string;
  readonly yes?: boolean;
  readonly wait: number;
}

export function addPayin(program: Command): void {
  program
    .command('payin')
    .description("start a transaction at the gateway, and follow it to the merchant's answer")
    .addArgument(new Argument('<method>', "the gateway's payment method, such as mpesa-ke"))
    .requiredOption('--amount <decimal>', 'such as 100.00', parseAmount)
    .requiredOption('--currency <code>', 'such as KES')
    .requiredOption('--msisdn <number>', "the payer's phone number, such as +254700000000")
    .requiredOption('--country <code>', 'such as KE')
    .option('--result-url <url>', "this service's public callback URL; with a gateway on this machine, the local one")
    .option('--reference <reference>', "the merchant's reference; default: a new one")
    .option('--payer-id <id>', "the merchant's name for the payer; default: the reference")
    .option('--brand <brand>', 'needed if there are several brands')
    .option('--wait <duration>', 'how long to follow it', parseWait, 600_000)
    .option('--yes', 'do not ask before money moves on a real gateway')
    .addHelpText('after', examples)
    .action(inSession(startAndFollow));
}

async function startAndFollow(session: Session, method: string, options: PayinOptions): Promise<ExitCode> {
  const { config } = session;
  const scopes = createBrandScopes(await directIntake(session), options.brand);
  session.onEnd(() => Promise.all(scopes.map(({ gateway }) => gateway.close())));
  const [scope, ...others] = scopes;
  if (scope === undefined) throw noGateway();
  if (others.length > 0)
    throw new CommandError('usage', `Choose the brand: --brand ${scopes.map(({ brand }) => brand).join(' | ')}`);
  const local = isLocal(config.brands.get(scope.brand));
  const resultUrl = options.resultUrl ?? (local ? `http://127.0.0.1:${config.PORT}${config.CALLBACK_PATH}` : undefined);
  if (resultUrl === undefined)
    throw new CommandError(
      'usage',
      'A real gateway needs a public HTTPS address to call back: --result-url https://...',
    );
  if (!local && options.yes !== true && !(await isAgreed(session, scope, options))) return exitCodes.no;
  return follow(session, scope, { method, resultUrl, options });
}

interface Start {
  readonly method: string;
  readonly resultUrl: string;
  readonly options: PayinOptions;
}

async function follow(session: Session, scope: BrandScope, { method, resultUrl, options }: Start): Promise<ExitCode> {
  const { output, queues } = session;
  const { amount, currency, msisdn, country, payerId, wait } = options;
  const merchantReference = options.reference ?? `payin-${Date.now().toString(36)}-${randomBytes(4).toString('hex')}`;
  const request = { method, amount, currency, msisdn, country, resultUrl, merchantReference };
  const signal = AbortSignal.timeout(wait);
  const events: FollowEvent[] = [];
  const say = (text: string, at = new Date().toISOString()) => output.say(`${at.slice(11, 23)}  ${printable(text)}`);

  say(`payin      ${merchantReference}: ${amount} ${currency} by ${method}`);
  const answer = await payin(scope, { ...request, payerId: payerId ?? merchantReference }, signal);
  const result = answer.kind === 'started' ? answer.gatewayReference : describeFailure(answer);
  await noteAction(session, 'payin.start', merchantReference, result);
  if (answer.kind !== 'started') {
    const outcome = describeFailure(answer);
    const detail = answer.kind === 'refused' ? answer.detail : '';
    say(`refused    ${outcome}${detail === '' ? '' : `: ${detail}`}`);
    output.result({ merchantReference, gatewayReference: null, outcome, detail, events }, () => undefined);
    return answer.kind === 'unavailable' ? exitCodes.unavailable : exitCodes.no;
  }
  const { gatewayReference, status } = answer;
  const end = (outcome: string) =>
    output.result({ merchantReference, gatewayReference, outcome, events }, () => undefined);
  say(`gateway    ${gatewayReference}: ${status ?? 'accepted'}; its callback is expected at ${resultUrl}`);
  const callbackIndex = createCallbackIndex({ redis: scope.redis, queues });
  const find = async (reference: string) => (await callbackIndex.find(reference, scope.brand))?.callback;
  try {
    for await (const event of followCallback({ find, clock: systemClock }, gatewayReference, signal)) {
      const { text, at } = lineOf(event);
      say(text, at);
      events.push(event);
      if (event.kind !== 'ended') continue;
      end(event.state);
      return event.state === 'delivered' ? exitCodes.done : exitCodes.no;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  say(`stopped    not delivered in time; see: payalo-receiver inspect ${gatewayReference}`);
  end('not-in-time');
  return exitCodes.no;
}

function lineOf(event: FollowEvent): { text: string; at: string } {
  switch (event.kind) {
    case 'received':
      return { at: event.at, text: `received   ${event.status ?? ''}, by ${event.source ?? 'memory'}` };
    case 'attempted':
      return {
        at: event.at,
        text: `attempt ${event.attempt ?? '-'}  the merchant answered ${event.answer} in ${Math.round(event.ms ?? 0)} ms`,
      };
    case 'ended':
      return { at: event.at, text: event.state };
  }
}

function isLocal(brand: Brand | undefined): boolean {
  return isLoopback(URL.parse(brand?.gatewayBaseUrl ?? '')?.hostname ?? '');
}

async function isAgreed({ config, output }: Session, { brand }: BrandScope, options: PayinOptions): Promise<boolean> {
  const host = URL.parse(config.brands.get(brand)?.gatewayBaseUrl ?? '')?.host ?? '';
  const question = `This charges ${options.msisdn} ${options.amount} ${options.currency} at the real gateway ${host}.`;
  if (!process.stdin.isTTY) {
    output.complain(`${question} Confirm it with --yes.`);
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const isYes = /^y(es)?$/i.test((await terminal.question(`${question} Continue? [y/N] `)).trim());
    if (!isYes) output.complain('Nothing was started.');
    return isYes;
  } finally {
    terminal.close();
  }
}

function parseAmount(text: string): string {
  if (!/^\d{1,15}(\.\d{1,6})?$/.test(text) || !/[1-9]/.test(text))
    throw new InvalidArgumentError('It must be a positive decimal such as 100.00.');
  return text;
}

function parseWait(text: string): number {
  const waitMs = parseDurationMs(text);
  if (waitMs === undefined || waitMs > 86_400_000) throw new InvalidArgumentError('It must be a duration such as 10m.');
  return waitMs;
}
