#!/usr/bin/env node
// Replaces redis-server on a machine that has only a container engine: accepts redis-server's arguments, requires `--port`
// and `--dir`, and runs the official image with that port published on the loopback address and that folder mounted.
// CONTAINER_ENGINE names the engine's program.
//
// A signal that ends this process ends the container. SIGKILL and SIGSTOP cannot be forwarded: the container is named
// after its port, so that the next start on the same port removes a leftover container.
import { spawn, spawnSync } from 'node:child_process';

const image = 'docker.io/library/redis:8-alpine';
const engine = process.env.CONTAINER_ENGINE ?? 'docker';
const args = process.argv.slice(2);
const valueOf = (option) => args[args.indexOf(option) + 1];

if (args.includes('--version')) {
  console.log('Redis server v=8.0 (in a container)');
  process.exit(0);
}
const port = valueOf('--port');
const dir = valueOf('--dir');
const name = `payalo-redis-${port}`;
spawnSync(engine, ['rm', '--force', name], { stdio: 'ignore' });
const child = spawn(
  engine,
  ['run', '--rm', '--init', '--name', name, '--publish', `127.0.0.1:${port}:${port}`, '--volume', `${dir}:/data`]
    .concat(process.getuid ? ['--user', `${process.getuid()}:${process.getgid()}`] : [])
    .concat(image, 'redis-server', args)
    .concat('--bind', '0.0.0.0', '--protected-mode', 'no', '--dir', '/data'), // the last value of an option wins
  { stdio: 'inherit' },
);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`${engine} could not be started: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code) => process.exit(code ?? 1));
