// A slow log reader delays nothing: a real service whose reader stops, dies, or has a full disk.
import { execFileSync, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { endWithThisProcess } from '../support/end-with-this-process.ts';
import { freePort } from '../support/private-redis.ts';
import { callbackBody, newReference, testKey } from '../support/callbacks.ts';
import { withRedis } from '../support/with-redis.ts';
import { canFillDisk, makeSmallDisk } from '../support/small-disk.ts';
import { makeTempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

vi.setConfig({ testTimeout: 120_000 });

const { server: redis } = await withRedis({ durable: false });

interface Started {
  readonly roles?: readonly string[];
  readonly stdio: StdioOptions;
  readonly env?: Readonly<Record<string, string>>;
}

async function start({ roles = ['all'], stdio, env = {} }: Started) {
  const [port, opsPort, dir] = [await freePort(), await freePort(), await makeTempDir('stalled')];
  const main = path.resolve('src/main.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...roles], {
    stdio,
    cwd: dir,
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      PAYALO_API_KEYS: testKey,
      REDIS_URL: redis.url,
      QUEUE_PREFIX: `{stalled${port}}`,
      HOST: '127.0.0.1',
      PORT: String(port),
      OPS_PORT: String(opsPort),
      SHUTDOWN_TIMEOUT: '2s',
      ...env,
    },
  });
  endWithThisProcess(child);
  const exited = once(child, 'exit');
  const opsUrl = `http://127.0.0.1:${opsPort}`;
  await until(async () => (await fetch(`${opsUrl}/readyz`).catch(() => undefined))?.status === 200, {
    timeoutMs: 60_000,
    describe: 'the service to be ready',
  });
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    opsUrl,
    exited,
    async dropped(): Promise<number> {
      const text = await (await fetch(`${opsUrl}/metrics`)).text();
      return Number(/^payalo_log_lines_dropped_total (\d+)/m.exec(text)?.[1]);
    },
    async stop() {
      const askedAt = performance.now();
      child.kill('SIGTERM');
      const [code] = await exited;
      return { code: Number(code), ms: performance.now() - askedAt };
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

type Service = Awaited<ReturnType<typeof start>>;

/** A named pipe that the service writes to; read only when a test does. */
async function makePipe() {
  const file = path.join(await makeTempDir('pipe'), 'pipe');
  execFileSync('mkfifo', [file]);
  const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(file, constants.O_WRONLY);
  let text = '';
  return {
    writer,
    /** All that was read so far, with what can be read now. */
    read(): string {
      const buffer = Buffer.alloc(65_536);
      try {
        for (let count = 1; count > 0;) {
          count = readSync(reader, buffer);
          text += buffer.toString('utf8', 0, count);
        }
      } catch {
        // Empty for now.
      }
      return text;
    },
    die: () => closeSync(reader),
  };
}

async function accept(service: Service): Promise<number> {
  const response = await fetch(`${service.url}/webhooks/payalo`, {
    method: 'POST',
    headers: { 'x-api-key': testKey },
    body: callbackBody({ reference: newReference() }),
    signal: AbortSignal.timeout(30_000),
  });
  await response.arrayBuffer();
  return response.status;
}

/** Every one is answered, and the process stays alive. */
async function acceptMany(service: Service, count: number): Promise<void> {
  const statuses = new Set<number>();
  for (let sent = 0; sent < count; sent += 100) {
    for (const status of await Promise.all(Array.from({ length: 100 }, () => accept(service)))) statuses.add(status);
  }
  expect([...statuses]).toEqual([200]);
  expect((await fetch(`${service.url}/livez`)).status).toBe(200);
}

/** The whole lines of a text; a last one may still be on its way. */
function linesOf(text: string): Map<string, unknown>[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return whole.filter((line) => line !== '').map((line) => new Map(Object.entries(JSON.parse(line))));
}

test('an unread log pipe holds up no callback; dropped lines are counted, and logged when the reader is back', async () => {
  const pipe = await makePipe();
  await using service = await start({ roles: ['all'], stdio: ['ignore', pipe.writer, 'inherit'] });
  while (!((await service.dropped()) >= 50)) await acceptMany(service, 200);
  const before = await service.dropped();
  const gaps = () => linesOf(pipe.read()).filter((line) => line.get('event') === 'log.lines_dropped');
  await until(() => gaps().length > 0, { timeoutMs: 30_000, describe: 'the count to be logged' });
  const after = await service.dropped();
  expect(Number(gaps()[0]?.get('count'))).toBeGreaterThanOrEqual(before);
  expect(gaps().reduce((sum, gap) => sum + Number(gap.get('count')), 0)).toBe(after);
  expect(await accept(service)).toBe(200);
  // The descriptor that others share with the service blocks as before.
  const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/${service.child.pid}/fdinfo/1`, 'utf8'))?.[1];
  expect(Number.parseInt(flags ?? '', 8) & constants.O_NONBLOCK).toBe(0);
  expect((await service.stop()).code).toBe(0);
  expect(linesOf(pipe.read()).at(-1)?.get('event')).toBe('service.stopped');
});

test('an unread log socket, such as a journal’s, holds up neither callbacks nor the stop', async () => {
  await using service = await start({ roles: ['receive'], stdio: ['ignore', 'pipe', 'inherit'] });
  // More than the buffers of a socket hold.
  await acceptMany(service, 600);
  const { code, ms } = await service.stop();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(10_000);
});

test('an unread pipe of both streams holds up neither a printing handler nor the stop', async () => {
  const pipe = await makePipe();
  const dir = await makeTempDir('handler');
  const handler = path.join(dir, 'handler.mjs');
  writeFileSync(
    handler,
    `import { appendFileSync } from 'node:fs';
     export default ({ gatewayReference }) => {
       console.log('x'.repeat(100_000)); console.error('x'.repeat(100_000)); process.emitWarning('x'.repeat(10_000));
       appendFileSync(${JSON.stringify(path.join(dir, 'handled'))}, gatewayReference + '\\n');
     };`,
  );
  await using service = await start({
    roles: ['all'],
    stdio: ['ignore', pipe.writer, pipe.writer],
    env: { HANDLER_MODULE: handler },
  });
  for (let count = 0; count < 40; count += 1) expect(await accept(service)).toBe(200);
  const handled = () =>
    readFileSync(path.join(dir, 'handled'), { encoding: 'utf8', flag: 'a+' }).split('\n').length - 1;
  await until(() => handled() === 40, { timeoutMs: 20_000, describe: 'every callback to be handled' });
  await until(async () => (await service.dropped()) > 0, { describe: 'lines to be dropped' });
  expect((await fetch(`${service.url}/livez`)).status).toBe(200);
  const { code, ms } = await service.stop();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(10_000);
});

test('a dead reader of the log has no effect', async () => {
  const pipe = await makePipe();
  await using service = await start({ roles: ['all'], stdio: ['ignore', pipe.writer, pipe.writer] });
  pipe.die();
  await acceptMany(service, 200);
  expect((await service.stop()).code).toBe(0);
});

test('a command whose reader has gone ends normally', async () => {
  const child = spawn(process.execPath, [path.resolve('src/cli.ts'), '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  endWithThisProcess(child);
  child.stdout.destroy();
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(complaint).toBe('');
});

describe('the output of a process that logs more than is read, and then ends', () => {
  /** Logs numbered lines in one turn after `before`, then does `end`; exits with 7 where it gets to. */
  function program(count: number, end = 'process.exit(7);'): string[] {
    const at = (file: string) => JSON.stringify(path.resolve('src/telemetry', file));
    const code = `import { createLog } from ${at('log.ts')};
      import { takeOverStandardStreams } from ${at('standard-streams.ts')};
      let dropped = 0;
      const streams = takeOverStandardStreams((lines) => { dropped += lines; });
      const log = createLog({ level: 'info', destination: streams.output });
      streams.tellTo(log);
      for (let n = 0; n < ${count}; n += 1) log.info({ event: 'line', n, text: 'x'.repeat(1_000) });
      ${end}`;
    return ['--input-type=module', '--eval', code];
  }

  test.each([
    ['exits', 'process.exit(7);', 7],
    ['ends normally', 'process.exitCode = 7;', 7],
    ['dies of an exception', 'throw new Error("unexpected");', 1],
    ['logs a fatal line', 'log.fatal({ event: "end" }); process.exit(7);', 7],
  ])('ends in time when nobody reads and it %s', async (_, end, code) => {
    const pipe = await makePipe();
    const child = spawn(process.execPath, program(3_000, end), { stdio: ['ignore', pipe.writer, 'pipe'] });
    child.stderr?.resume();
    endWithThisProcess(child);
    expect(await once(child, 'exit')).toEqual([code, null]);
    const numbers = linesOf(pipe.read()).map((line) => line.get('n'));
    expect(numbers).toEqual(numbers.map((_number, index) => index));
    expect(numbers.length).toBeGreaterThan(30);
  });

  test('writes all kept lines to a slow reader', async () => {
    const pipe = await makePipe();
    const child = spawn(process.execPath, program(500), { stdio: ['ignore', pipe.writer, 'inherit'] });
    endWithThisProcess(child);
    const exited = once(child, 'exit');
    await until(() => linesOf(pipe.read()).length === 500, { everyMs: 20 });
    expect(await exited).toEqual([7, null]);
  });

  test('ends in time where nothing can be written', async () => {
    const child = spawn(process.execPath, program(10), { stdio: ['ignore', openSync('/dev/full', 'w'), 'inherit'] });
    endWithThisProcess(child);
    expect(await once(child, 'exit')).toEqual([7, null]);
  });

  test.skipIf(!canFillDisk())(
    'keeps lines that a full disk does not take, and writes them once there is room',
    async () => {
      const disk = makeSmallDisk(await makeTempDir('disk'), 1);
      const file = path.join(disk.dir, 'log');
      const output = openSync(file, 'a');
      const code = program(100, 'process.stdin.once("data", () => process.exit(7));');
      const makeRoom = disk.fill();
      const child = spawn(process.execPath, code, { stdio: ['pipe', output, 'inherit'] });
      endWithThisProcess(child);
      const exited = once(child, 'exit');
      const wasTried = () => /^write_bytes|syscw: [1-9]/m.test(readFileSync(`/proc/${child.pid}/io`, 'utf8'));
      await until(wasTried);
      makeRoom();
      await until(() => linesOf(readFileSync(file, 'utf8')).length === 100, { describe: 'the lines to be written' });
      child.stdin?.write('end');
      expect(await exited).toEqual([7, null]);
      disk.remove();
    },
  );

  test.runIf(existsSync('/usr/bin/script'))('ends in time behind a terminal that was stopped with Ctrl-S', async () => {
    const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
    const wait = 'process.stderr.write("ready"); await new Promise((resolve) => process.stdin.once("data", resolve));';
    const [kind, flag, code = ''] = program(3_000);
    const stopped = code.replace('for (', `${wait} for (`);
    const command = [process.execPath, kind ?? '', flag ?? '', stopped].map(quote).join(' ');
    const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    endWithThisProcess(child);
    let shown = '';
    child.stdout.on('data', (text: Buffer) => (shown += text.toString()));
    await until(() => shown.includes('ready'), { timeoutMs: 10_000 });
    child.stdin.write('\u0013');
    child.stdin.write('go\n');
    const [exitCode] = await once(child, 'exit');
    expect(exitCode).toBe(7);
    expect(shown.length).toBeLessThan(3_000_000);
  });
});
