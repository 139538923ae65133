// The chart makes the objects of the kustomization, as the real helm renders them; built from the Go module proxy.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test, type TestContext } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { installGoProgram } from '../support/outside-programs.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const program = 'helm.sh/helm/v3/cmd/helm@v3.22.0';
const root = path.resolve(import.meta.dirname, '../..');
const chart = path.join(root, 'deploy', 'helm');
const kustomization = path.join(root, 'deploy', 'kubernetes');
const objectSchema = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });
type KubernetesObject = z.infer<typeof objectSchema>;

let helm: string | undefined;

beforeAll(async () => {
  helm = await installGoProgram(program);
}, 900_000);

function render(context: TestContext, ...args: string[]): { status: number | null; out: string; err: string } {
  if (helm === undefined) return context.skip(`there is no Go that can build ${program}`);
  const asked = ['template', 'payalo', chart, '--namespace', 'payalo', '--kube-version', '1.31.0', ...args];
  const { status, stdout, stderr } = spawnSync(helm, asked, { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const objectsIn = (yaml: string) =>
  parseAllDocuments(yaml)
    .map((document) => document.toJS())
    .filter((object) => object !== null)
    .map((object) => objectSchema.parse(object));

/** By kind and name. */
const named = (objects: readonly KubernetesObject[]) =>
  Object.fromEntries(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));

test('the chart renders the same objects as the kustomization', (context) => {
  const { status, out } = render(context);
  expect(status).toBe(0);
  const { images } = z
    .object({ images: z.array(z.object({ name: z.string(), newTag: z.string() })) })
    .parse(parse(readFileSync(path.join(kustomization, 'kustomization.yaml'), 'utf8')));
  const theirs = globSync('*.yaml', { cwd: kustomization })
    .filter((file) => file !== 'kustomization.yaml')
    .map((file) => readFileSync(path.join(kustomization, file), 'utf8'))
    .join('\n---\n')
    .replaceAll(/image: (\S+)$/gm, (_, name) => `image: ${name}:${images.find((one) => one.name === name)?.newTag}`);
  const { 'Namespace payalo': namespace, ...objects } = named(objectsIn(theirs));
  expect(namespace).toBeDefined(); // helm creates the namespace itself
  expect(named(objectsIn(out))).toEqual(objects);
});

test('values have their documented effect', (context) => {
  const { out } = render(
    context,
    '--set',
    'image.repository=example/receiver,image.tag=9.9.9,imagePullSecrets={pull},secretName=other',
    '--set',
    'receiver.replicas=3,receiver.spool.size=5Gi,receiver.spool.storageClassName=fast',
    '--set',
    'worker.maxReplicas=4,reconciler.replicas=2,networkPolicy.enabled=false,settings.LOG_LEVEL=debug',
  );
  const objects = named(objectsIn(out));
  expect(objects).toMatchObject({
    'StatefulSet payalo-receiver': {
      spec: {
        replicas: 3,
        template: { spec: { imagePullSecrets: [{ name: 'pull' }], containers: [{ image: 'example/receiver:9.9.9' }] } },
        volumeClaimTemplates: [{ spec: { storageClassName: 'fast', resources: { requests: { storage: '5Gi' } } } }],
      },
    },
    'HorizontalPodAutoscaler payalo-worker': { spec: { maxReplicas: 4 } },
    'Deployment payalo-reconciler': { spec: { replicas: 2 } },
    'ConfigMap payalo-receiver': { data: { LOG_LEVEL: 'debug' } },
  });
  expect(Object.keys(objects).filter((name) => name.startsWith('NetworkPolicy'))).toEqual([]);
  expect(out.match(/secretName: other/g)).toHaveLength(3);
});

test('settings of a values file arrive as they were written', async (context) => {
  const values = path.join(await makeTempDir('values'), 'values.yaml');
  const settings = ['SPOOL_MAX_BYTES: 1073741824', 'RETAIN_COMPLETED_MAX: 1000000', 'HOLD_MISMATCHED: true'];
  writeFileSync(values, ['settings:', ...settings, "ACK_BUDGET: '3s'", 'TRUST_PROXY: null'].join('\n  '));
  const { status, out } = render(context, '--values', values, '--show-only', 'templates/settings.yaml');
  const { data } = z.object({ data: z.record(z.string(), z.string()) }).parse(parse(out));
  expect(status).toBe(0);
  expect(data).toMatchObject({
    SPOOL_MAX_BYTES: '1073741824',
    RETAIN_COMPLETED_MAX: '1000000',
    HOLD_MISMATCHED: 'true',
    ACK_BUDGET: '3s',
  });
  expect(data).not.toHaveProperty('TRUST_PROXY'); // null takes a default away
});

test('helm lint finds nothing', (context) => {
  if (helm === undefined) return context.skip(`there is no Go that can build ${program}`);
  const { status, stdout } = spawnSync(helm, ['lint', '--strict', chart], { encoding: 'utf8' });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('0 chart(s) failed') });
});

test('invalid values are refused, with the problem', (context) => {
  for (const [value, reason] of [
    ['receiver.replica=3', "additional properties 'replica' not allowed"],
    ['receiver.replicas=0', "at '/receiver/replicas': minimum"],
    ['receiver.spool.size=5', "at '/receiver/spool/size'"],
    ['settings.forward_url=x', "invalid propertyName 'forward_url'"],
    ['settings.PAYALO_API_KEYS=x', 'settings.PAYALO_API_KEYS is a secret, and a ConfigMap is no place for it'],
    ['settings.REDIS_URL=redis://default:p@redis:6379', 'settings.REDIS_URL holds a password'],
    ['worker.minReplicas=5,worker.maxReplicas=2', 'worker.minReplicas is 5, above worker.maxReplicas, 2'],
  ] as const) {
    const { status, err } = render(context, '--set', value);
    expect({ value, status, err }).toMatchObject({ value, status: 1, err: expect.stringContaining(reason) });
  }
});
