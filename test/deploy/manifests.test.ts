// Compares deploy/kubernetes and docker-compose.yml with the code: ports, paths, roles, variables, users and volumes.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { loadConfig, variableNames } from '../../src/config/config.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const root = path.join(import.meta.dirname, '..', '..');
const folder = path.join(root, 'deploy', 'kubernetes');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

const environmentSchema = z.record(z.string(), z.string());
const probe = z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) });
const container = z.object({
  command: z.array(z.string()),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  securityContext: z.object({ readOnlyRootFilesystem: z.literal(true), allowPrivilegeEscalation: z.literal(false) }),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
});
const workloadSchema = z.object({
  kind: z.string(),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    selector: z.object({ matchLabels: environmentSchema }),
    volumeClaimTemplates: z.array(z.object({ metadata: z.object({ name: z.string() }) })).optional(),
    template: z.object({
      metadata: z.object({ labels: environmentSchema }),
      spec: z.object({
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.object({ runAsUser: z.number() }),
        containers: z.tuple([container]),
      }),
    }),
  }),
});
const objectSchema = z.looseObject({ kind: z.string(), metadata: z.object({ name: z.string() }) });

const objects = globSync('*.yaml', { cwd: folder })
  .filter((file) => file !== 'kustomization.yaml')
  .flatMap((file) => parseAllDocuments(readFileSync(path.join(folder, file), 'utf8')))
  .map((document) => objectSchema.parse(document.toJS()));
const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);
const workloads = [...ofKind('StatefulSet'), ...ofKind('Deployment')].map((object) => workloadSchema.parse(object));
const defaults = configOf({ PAYALO_API_KEYS: 'a-key-0123456789abc' }, []);
/** The image's user, from the Dockerfile. */
const image = {
  user: Number(/^USER (\d+):/m.exec(read('Dockerfile'))?.[1]),
  main: /^CMD \["node", "(.+)"\]$/m.exec(read('Dockerfile'))?.[1] ?? '',
  spool: /SPOOL_DIR=(\S+)/.exec(read('Dockerfile'))?.[1] ?? '',
};

function configOf(environment: Readonly<Record<string, string>>, roles: readonly string[]) {
  const loaded = loadConfig(environment, roles);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

/** The environment that the service would get, with the secret files in a temporary folder. */
async function withSecrets(environment: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const dir = await makeTempDir('secrets');
  const values: Readonly<Record<string, string>> = {
    'payalo-api-keys': 'a-key-0123456789abc',
    'redis-url': 'redis://redis:6379',
    'ops-token': 'a-token-0123456789abc',
  };
  for (const [name, value] of Object.entries(values)) writeFileSync(path.join(dir, name), `${value}\n`);
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      name.endsWith('_FILE') ? path.join(dir, path.basename(value)) : value,
    ]),
  );
}

const isKnown = (name: string) => variableNames.includes(name) || variableNames.includes(name.replace(/_FILE$/, ''));

describe('deploy/kubernetes', () => {
  const settings = environmentSchema.parse(ofKind('ConfigMap')[0]?.['data']);

  test('is listed in full by its kustomization', () => {
    const { resources } = z
      .object({ resources: z.array(z.string()) })
      .parse(parse(readFileSync(path.join(folder, 'kustomization.yaml'), 'utf8')));
    expect(resources.toSorted()).toEqual(
      globSync('*.yaml', { cwd: folder })
        .filter((file) => file !== 'kustomization.yaml')
        .toSorted(),
    );
  });

  test('runs each role once, as the image starts it, with a configuration that it accepts', async () => {
    const roles = workloads.map(({ spec }) => spec.template.spec.containers[0].command);
    expect(roles.map((command) => command.slice(0, 2))).toEqual(roles.map(() => ['node', image.main]));
    expect(roles.map((command) => command[2]).toSorted()).toEqual(['receive', 'reconcile', 'work']);
    expect(Object.keys(settings).filter((name) => !isKnown(name))).toEqual([]);
    const environment = await withSecrets({ ...settings, NODE_ENV: 'production' });
    for (const command of roles) expect(configOf(environment, command.slice(2)).roles.size).toBe(1);
  });

  test('has ports and probes where the service listens', () => {
    for (const { spec } of workloads) {
      const [one] = spec.template.spec.containers;
      const ports = new Map(one.ports.map(({ name, containerPort }) => [name, containerPort]));
      expect(ports.get('operator')).toBe(defaults.OPS_PORT);
      expect([undefined, defaults.PORT]).toContain(ports.get('public'));
      const probes = [one.startupProbe, one.livenessProbe, one.readinessProbe].map(({ httpGet }) => httpGet);
      expect(probes.map((each) => each.path)).toEqual(['/livez', '/livez', '/readyz']);
      expect(probes.filter((each) => !ports.has(each.port))).toEqual([]);
    }
  });

  test('stops a pod gracefully, runs it as the image’s user, and writes only to volumes', () => {
    for (const { spec } of workloads) {
      const pod = spec.template.spec;
      expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(defaults.SHUTDOWN_TIMEOUT);
      expect(pod.securityContext.runAsUser).toBe(image.user);
      expect(pod.containers[0].volumeMounts.some(({ mountPath }) => image.spool.startsWith(`${mountPath}/`))).toBe(
        true,
      );
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    }
  });

  test('keeps a receiver’s spool on a volume that outlives its pod, and never scales receivers in automatically', () => {
    const [receiver] = ofKind('StatefulSet');
    const { spec } = workloadSchema.parse(receiver);
    const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name);
    const mount = spec.template.spec.containers[0].volumeMounts.find(({ mountPath }) =>
      image.spool.startsWith(mountPath),
    );
    expect(claims).toContain(mount?.name);
    expect(receiver).toMatchObject({
      spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' } },
    });
    const scaled = ofKind('HorizontalPodAutoscaler').map((object) =>
      z.object({ spec: z.object({ scaleTargetRef: z.object({ name: z.string() }) }) }).parse(object),
    );
    expect(scaled.map((object) => object.spec.scaleTargetRef.name)).toEqual(['payalo-worker']);
  });

  test('opens the operator port to the monitoring only', () => {
    const policies = ofKind('NetworkPolicy').map((object) =>
      z
        .object({
          metadata: z.object({ name: z.string() }),
          spec: z.object({
            podSelector: z.looseObject({}),
            ingress: z
              .array(
                z.object({
                  from: z.array(z.object({ namespaceSelector: z.object({ matchLabels: environmentSchema }) })),
                  ports: z.array(z.object({ port: z.string() })),
                }),
              )
              .optional(),
          }),
        })
        .parse(object),
    );
    expect(policies.some(({ spec }) => Object.keys(spec.podSelector).length === 0 && spec.ingress === undefined)).toBe(
      true,
    );
    const openings = policies.flatMap(({ spec }) => spec.ingress ?? []);
    const from = (port: string) =>
      openings
        .filter(({ ports }) => ports.some((each) => each.port === port))
        .flatMap((opening) =>
          opening.from.map((each) => each.namespaceSelector.matchLabels['kubernetes.io/metadata.name']),
        );
    expect(from('operator')).toEqual(['monitoring']);
    expect(from('public')).toEqual(['ingress-nginx']);
    const types = ofKind('Service').map(
      (object) => z.looseObject({ type: z.string().optional() }).parse(object['spec']).type,
    );
    expect(types.filter((type) => type !== undefined && type !== 'ClusterIP')).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  const compose = z
    .object({
      services: z.record(
        z.string(),
        z.looseObject({
          command: z.string(),
          environment: environmentSchema.optional(),
          volumes: z.array(z.string()),
          depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
          stop_grace_period: z.string(),
        }),
      ),
      volumes: z.record(z.string(), z.unknown()),
    })
    .parse(parse(read('docker-compose.yml'), { merge: true }));
  const ours = Object.entries(compose.services).filter(([name]) => name !== 'redis');

  test('needs only two lines in .env', () => {
    const dotEnv = parseEnv(
      'PAYALO_API_KEYS=the-key-that-the-gateway-sends\nFORWARD_URL=https://shop.example/payments\n',
    );
    for (const [, service] of ours) {
      const [program, main, ...roles] = service.command.split(' ');
      expect([program, `/app/${main}`]).toEqual(['node', image.main]);
      const set = Object.entries(service.environment ?? {});
      expect(set.filter(([name]) => !isKnown(name))).toEqual([]);
      const environment = Object.fromEntries(set.map(([name, value]) => [name, interpolate(value)]));
      const config = configOf({ ...dotEnv, NODE_ENV: 'production', ...environment }, roles);
      expect(config.redis).toMatchObject({ kind: 'standalone', endpoint: { host: 'redis' } });
      expect(config.SPOOL_DIR).toBe(image.spool);
    }
    expect(ours.map(([, service]) => service.command.split(' ')[2])).toEqual(['receive', 'work', 'reconcile']);
  });

  test('starts after a healthy and durable Redis, spools on a volume, and leaves time to stop', () => {
    for (const [, service] of ours) {
      expect(service.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
      const mounts = service.volumes.map((volume) => volume.split(':'));
      expect(
        mounts.some(([name = '', target]) => name in compose.volumes && image.spool.startsWith(`${target}/`)),
      ).toBe(true);
      expect(Number.parseInt(service.stop_grace_period, 10) * 1_000).toBeGreaterThan(defaults.SHUTDOWN_TIMEOUT);
    }
    const redis = compose.services['redis'];
    for (const durable of ['--appendonly yes', '--appendfsync always', '--maxmemory-policy noeviction']) {
      expect(redis?.command).toContain(durable);
    }
    expect(redis?.volumes).toEqual(['redis:/data']);
  });

  /** Substitutes as compose does with only the two lines: `${NAME:-default}` and `${NAME:+value}`. */
  function interpolate(text: string): string {
    return text.replaceAll(/\$\{\w+:([-+])([^}]*)\}/g, (_all, kind: string, value: string) =>
      kind === '-' ? value : '',
    );
  }
});
