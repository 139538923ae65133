// `doctor`: checks whether this deployment can keep the product's promises.
import type { Command } from 'commander';
import type { Check } from '../ops/doctor/check.ts';
import { checkNotify } from '../ops/doctor/doctor-notify.ts';
import { runDoctor } from '../ops/doctor/doctor.ts';
import { createRedis } from '../redis/connections.ts';
import { checkGateway } from '../reconcile/gateway/check-gateway.ts';
import { createGatewayClient } from '../reconcile/gateway/gateway-client.ts';
import { parseHttpUrl } from './arguments.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import type { Output, Style } from './output.ts';
import { inSession, type Session } from './session.ts';

const examples = `
Checks Redis and its settings, the spool's folder, the merchant's endpoint, the gateway's keys, and with --url the path
of callbacks through DNS, TLS and load balancer.

Examples:
  payalo-receiver doctor
  payalo-receiver doctor --url https://payments.example.com/webhooks/payalo
  payalo-receiver doctor --notify

Exit codes: 0 all is well or only warnings, 1 a problem was found.`;

const gatewayWithinMs = 10_000;
const commandTimeoutMs = 5_000;

const styles: Readonly<Record<Check['status'], Style>> = { ok: 'good', warning: 'warn', problem: 'bad' };

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check this deployment, and suggest fixes')
    .option('--url <url>', 'the registered resultUrl, tested from here', parseHttpUrl)
    .option('--notify', 'send a test notification to NOTIFY_URL')
    .addHelpText('after', examples)
    .action(inSession(examine));
}

async function examine(session: Session, { url, notify }: { url?: string; notify?: true }): Promise<ExitCode> {
  const { config, queues, output } = session;
  const found = await runDoctor({
    config,
    queues: queues.values(),
    redis: unconnectedRedis(session),
    checkGatewayKey: (brand) => checkKey(session, brand),
    publicUrl: url,
  });
  const checks = notify ? [...found, await checkNotify(config, Date.now())] : found;
  output.result({ checks }, () => printChecks(output, checks));
  return checks.some(({ status }) => status === 'problem') ? exitCodes.no : exitCodes.done;
}

/** A Redis that is down is a finding, and does not end the command. */
function unconnectedRedis({ config, log, onEnd }: Session) {
  const redis = createRedis(config.redis, { kind: 'producer', commandTimeoutMs }, 'doctor', log);
  onEnd(() => redis.disconnect());
  return redis;
}

async function checkKey({ config, log, onEnd }: Session, name: string) {
  const brand = config.brands.get(name);
  if (brand?.gatewayBaseUrl === undefined || brand.gatewayApiKeys.length === 0) return undefined;
  const gateway = createGatewayClient({ brand, baseUrl: brand.gatewayBaseUrl, egress: { proxies: config }, log });
  onEnd(() => gateway.close());
  return checkGateway(gateway, Date.now(), AbortSignal.timeout(gatewayWithinMs));
}

function printChecks(output: Output, checks: readonly Check[]): void {
  for (const { name, status, detail, fix } of checks) {
    output.line(`${output.paint(status.padEnd(7), styles[status])}  ${name}: ${detail}`);
    if (fix !== '') output.line(`         ${output.paint(fix, 'bold')}`);
  }
}
