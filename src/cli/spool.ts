// `spool`: lists SPOOL_DIR, and drains subfolders that no running process holds.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { drainSpoolByHand, listSpool, type DrainedByHand, type SpoolListing } from '../intake/spool/spool-by-hand.ts';
import { describeOwner, ownerOf, type Owner } from '../intake/spool/spool-owner.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { readDeploymentId } from '../redis/deployment-id.ts';
import type { Config } from '../config/config.ts';
import { directIntake } from './direct-intake.ts';
import { CommandError, exitCodes, type ExitCode } from './exit-codes.ts';
import { noteAction, operatorSession } from './operator-session.ts';
import type { Output } from './output.ts';
import { inSession, type Session } from './session.ts';

const examples = `
A running process drains its own subfolder, and adopts those of its deployment whose process is gone. Use this
when none is running. A deployment is recognized by REDIS_URL, QUEUE_PREFIX and QUEUE_NAME, and by an id that it keeps in Redis.

Examples:
  payalo-receiver spool
  payalo-receiver spool drain
  payalo-receiver spool drain --dir /mnt/rescued/spool
  payalo-receiver spool drain --dir /mnt/rescued/spool --any-owner

Exit codes: 0 done, 1 something is left in the spool, 2 the folder does not exist.`;

interface DirOption {
  readonly dir?: string;
}

interface DrainOption extends DirOption {
  readonly anyOwner?: true;
}

export function addSpool(program: Command): void {
  const spool = program
    .command('spool')
    .description('callbacks that wait on the disk for Redis')
    .addHelpText('after', examples);

  spool
    .command('list', { isDefault: true })
    .description('list its contents')
    .option('--dir <folder>', 'a folder other than SPOOL_DIR')
    .action(inSession(list));

  spool
    .command('drain')
    .description('move callbacks that no running process holds to Redis')
    .option('--dir <folder>', 'a folder other than SPOOL_DIR')
    .option('--any-owner', 'also drain subfolders of other deployments, or without a mark, into this Redis')
    .action(inSession(drain));
}

async function list({ config, output }: Session, { dir }: DirOption): Promise<ExitCode> {
  requireFolder(dir);
  const folders = listSpool(dir ?? config.SPOOL_DIR);
  output.result({ folders }, () => printFolders(output, folders));
  return exitCodes.done;
}

async function drain(session: Session, { dir: named, anyOwner }: DrainOption): Promise<ExitCode> {
  const { config, output, log } = session;
  requireFolder(named);
  const dir = named ?? config.SPOOL_DIR;
  const { redis, intake } = await directIntake(session);
  const { quarantine } = await operatorSession(session);
  const drained = await drainSpoolByHand({
    dir,
    owner: anyOwner ? undefined : await identifiedOwner(config, redis),
    log,
    submit: (entries) => intake.resubmit(entries),
    confirm: (entries) => intake.confirm(entries),
    submitQuarantine: (entries) => quarantine.submit(entries),
    setAside: (entry, reason) => quarantine.setAside(entry, reason),
    taken: (brand) => intake.taken(brand),
  });
  const result: DrainedByHand = drained ?? { drained: 0, left: 0, untouched: 0 };
  await noteAction(session, 'spool.drain', dir, `drained ${result.drained}, left ${result.left}`);
  output.result({ ...result }, () => printDrained(output, result));
  return result.left + (result.foreign ?? 0) === 0 ? exitCodes.done : exitCodes.no;
}

async function identifiedOwner(config: Config, redis: RedisConnection): Promise<Owner> {
  const id = await readDeploymentId(redis, config);
  return { ...ownerOf(config.redis, config), ...(id !== undefined && { id }) };
}

function printDrained(output: Output, { drained, left, untouched, foreign = 0 }: DrainedByHand): void {
  output.line(
    `${drained} drained, ${left} left, ${untouched} subfolders in use by running processes, damaged or of a later version.`,
  );
  if (foreign === 0) return;
  output.line(
    `${foreign} subfolders belong to another deployment; \`spool list\` names it, and --any-owner drains them too.`,
  );
}

/** SPOOL_DIR itself may not exist yet; a missing folder in --dir is a typo. */
function requireFolder(dir: string | undefined): void {
  if (dir !== undefined && !existsSync(dir)) throw new CommandError('usage', `--dir: there is no folder ${dir}.`);
}

function printFolders(output: Output, folders: readonly SpoolListing[]): void {
  if (folders.length === 0) return output.line('The spool is empty.');
  output.table(
    ['FOLDER', 'OWNER', 'STATE', 'CALLBACKS', 'QUARANTINE', 'BYTES'],
    folders.map(({ folder, owner, state, entries, quarantineEntries, bytes }) => [
      folder,
      describeOwner(owner),
      { text: state, style: state === 'damaged' ? 'bad' : 'dim' },
      String(entries),
      String(quarantineEntries),
      String(bytes),
    ]),
  );
  const callbacks = folders.flatMap((folder) => folder.callbacks);
  if (callbacks.length === 0) return;
  output.line();
  output.table(
    ['RECEIVED', 'STATUS', 'BRAND', 'GATEWAY REFERENCE'],
    callbacks.map(({ receivedAt, status, brand, gatewayReference }) => [
      receivedAt ?? '-',
      status ?? '-',
      brand,
      gatewayReference ?? '-',
    ]),
  );
}
