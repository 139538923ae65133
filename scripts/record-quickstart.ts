// `node scripts/record-quickstart.ts`: runs the quickstart and puts what it printed into README.md, unchanged.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { recordingOf, withRecording } from './quickstart/recording.ts';

const root = path.dirname(import.meta.dirname);
const readme = path.join(root, 'README.md');
const { stdout } = spawnSync('npm', ['run', '--silent', 'quickstart', '--', '--once'], {
  cwd: root,
  encoding: 'utf8',
  env: { ...process.env, NO_COLOR: '1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
writeFileSync(readme, withRecording(readFileSync(readme, 'utf8'), recordingOf(stdout)));
