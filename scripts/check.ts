// `npm run check`: runs formatter, linter and type checker even after a failure, so that one run shows every problem.
import { spawnSync } from 'node:child_process';

const checks = [
  { name: 'format', args: ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.'] },
  { name: 'lint', args: ['node_modules/oxlint/bin/oxlint', '--deny-warnings', '--type-aware'] },
  { name: 'types', args: ['node_modules/typescript/bin/tsc', '--noEmit'] },
];

const failed = checks.filter(({ name, args }) => {
  const startedAt = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  console.log(
    `${status === 0 ? 'ok     ' : 'FAILED '} ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`,
  );
  return status !== 0;
});
process.exitCode = failed.length === 0 ? 0 : 1;
