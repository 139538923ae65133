// `node scripts/complete-lock.mjs`, after every change of a dependency.
//
// npm leaves the platform packages that it could not fetch out of package-lock.json (optional dependencies of other
// systems, where a registry mirror lacks them), and `npm ci` then refuses that very lockfile. This adds the missing
// entries by name and exact version, with the platform that their names state; npm fetches them only on that platform.
import { readFileSync, writeFileSync } from 'node:fs';

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];

for (const file of process.argv.length > 2 ? process.argv.slice(2) : ['package-lock.json']) {
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  for (const [owner, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (lock.packages[`node_modules/${name}`] || lock.packages[`${owner}/node_modules/${name}`]) continue;
      const words = name.split(/[/-]/);
      const os = words.filter((word) => systems.includes(word));
      const cpu = words.filter((word) => processors.includes(word));
      if (os.length === 0 && cpu.length === 0) continue;
      lock.packages[`node_modules/${name}`] = {
        version,
        ...(cpu.length && { cpu }),
        ...(dev && { dev }),
        optional: true,
        ...(os.length && { os }),
      };
      console.log(`added ${name}@${version} (${[...os, ...cpu].join(' ')})`);
    }
  }
  const { '': self, ...rest } = lock.packages;
  lock.packages = {
    '': self,
    ...Object.fromEntries(Object.entries(rest).toSorted(([a], [b]) => a.localeCompare(b, 'en'))),
  };
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
