// `send`: sends a callback to any URL, as the gateway would.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { request } from 'undici';
import { canonicalDecimal } from '../callback/decimal.ts';
import { createHttpPool } from '../http/http-pool.ts';
import { parseHttpUrl } from './arguments.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { inSession, type Session } from './session.ts';
import { isSuccess } from '../http/http-answer.ts';

const examples = `
Without --file it sends the gateway's own example, changed by the options. The key is the first one of
PAYALO_API_KEYS (of --brand), unless --key names another.

Examples:
  payalo-receiver send
  payalo-receiver send --status failed --amount 12.50 --reference b2p01j3abcdef0000000000000000a1b2
  payalo-receiver send --file callback.json --url https://payments.example.com/webhooks/payalo
  cat callback.json | payalo-receiver send --file -

Exit codes: 0 answered 2xx, 1 another answer, 69 no answer.`;

interface SendOptions {
  readonly url?: string;
  readonly file?: string;
  readonly key?: string;
  readonly brand?: string;
  readonly status: string;
  readonly type: string;
  readonly amount: string;
  readonly currency: string;
  readonly reference?: string;
  readonly merchantReference?: string;
}

/** The gateway's own timeout. */
const answerWithinMs = 15_000;
const answerShownMax = 2_000;

export function addSend(program: Command): void {
  program
    .command('send')
    .description('send a test callback, as the gateway would')
    .option('--url <url>', 'where to send it; default: the service on this machine', parseHttpUrl)
    .option('--file <file>', 'the body, byte for byte; - for standard input')
    .option('--key <key>', 'X-API-KEY')
    .option('--brand <brand>', 'whose key')
    .option('--status <status>', 'success, failed, ...', 'success')
    .option('--type <type>', 'payin, payout or tax', 'payin')
    .option('--amount <decimal>', 'such as 100.00', parseAmount, '100.00')
    .option('--currency <code>', 'such as KES', 'KES')
    .option('--reference <gatewayReference>', 'default: a new one')
    .option('--merchant-reference <reference>', 'default: a new one')
    .addHelpText('after', examples)
    .action(inSession(send));
}

async function send(session: Session, options: SendOptions): Promise<ExitCode> {
  const { config, output } = session;
  const brand = config.brands.get(options.brand ?? 'default') ?? [...config.brands.values()][0];
  const key = options.key ?? brand?.apiKeys[0];
  if (key === undefined)
    throw new CommandError('config', 'There is no key to send: set PAYALO_API_KEYS, or use --key.');
  const url = options.url ?? `http://127.0.0.1:${config.PORT}${config.CALLBACK_PATH}`;
  const body = options.file === undefined ? exampleBody(options) : readBody(options.file);
  const startedAt = performance.now();
  const answer = await post(session, { url, key, body });
  const ms = Math.round(performance.now() - startedAt);
  const text = (await answer.body.text()).slice(0, answerShownMax);
  const isTaken = isSuccess(answer.statusCode);
  output.result({ url, status: answer.statusCode, ms, answer: text, sent: String(body) }, () => {
    output.line(printable(String(body)));
    output.line();
    output.line(`${output.paint(String(answer.statusCode), isTaken ? 'good' : 'bad')} in ${ms} ms  ${printable(text)}`);
  });
  return isTaken ? exitCodes.done : exitCodes.no;
}

function readBody(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file);
  } catch (cause) {
    throw new CommandError(
      'usage',
      `${file} cannot be read (${cause instanceof Error ? cause.message : String(cause)}).`,
      {
        cause,
      },
    );
  }
}

interface Sent {
  readonly url: string;
  readonly key: string;
  readonly body: string | Buffer;
}

async function post({ config, onEnd }: Session, { url, key, body }: Sent) {
  const { dispatcher } = createHttpPool(url, {
    proxies: config,
    connectionsMax: 1,
    connectTimeoutMs: answerWithinMs,
  });
  onEnd(() => dispatcher.destroy());
  try {
    return await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': key },
      body,
      signal: AbortSignal.timeout(answerWithinMs),
      dispatcher,
    });
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new CommandError('unavailable', `${url} did not answer (${reason}). Is the service running there?`, {
      cause,
    });
  }
}

/** Written as text, to keep the amount exactly as given. */
function exampleBody(options: SendOptions): string {
  const { status, type, amount, currency } = options;
  const reference = options.reference ?? `test${randomBytes(12).toString('hex')}`;
  const merchantReference = options.merchantReference ?? `test-${randomBytes(4).toString('hex')}`;
  const now = new Date().toISOString();
  const money = `{"value":${amount},"currency":${JSON.stringify(currency)}}`;
  const failed = status === 'failed';
  return `{"status":${JSON.stringify(status)},"type":${JSON.stringify(type)},"flow":"direct",
 "gatewayReference":${JSON.stringify(reference)},"merchantReference":${JSON.stringify(merchantReference)},
 "method":"mpesa-ke","country":"KE","requestedAmount":${money},"finalAmount":${money},
 "createdAt":"${now}","completedAt":"${now}","completionSource":"webhook",
 "errorCode":${failed ? '"user_insufficient_funds"' : 'null'},"errorMessage":${failed ? '"Insufficient funds"' : 'null'},
 "providerData":{"name":"mpesa","title":"M-Pesa Kenya"}}`;
}

function parseAmount(text: string): string {
  if (canonicalDecimal(text) === undefined) throw new InvalidArgumentError('It must be a decimal such as 100.00.');
  return text;
}
