// Checks that a tag and every file that names a version agree: packages, image and chart of a release belong together.
import { parse } from 'yaml';
import * as z from 'zod';

/** Files of the checkout, by path. */
export const versionedFiles = {
  manifest: 'package.json',
  lock: 'package-lock.json',
  changelog: 'CHANGELOG.md',
  image: 'Dockerfile',
  chart: 'deploy/helm/Chart.yaml',
  kustomization: 'deploy/kubernetes/kustomization.yaml',
} as const;

export type VersionedTexts = Readonly<Record<keyof typeof versionedFiles, string>>;

const versionSchema = z.object({ version: z.string() });
const chartSchema = z.object({ appVersion: z.string() });
const kustomizationSchema = z.object({ images: z.tuple([z.object({ newTag: z.string() })]) });

/** One sentence for each file that disagrees with `package.json`, with what to do. */
export function versionProblems(tag: string, texts: VersionedTexts): string[] {
  const { version } = versionSchema.parse(JSON.parse(texts.manifest));
  const found = {
    lock: versionSchema.parse(JSON.parse(texts.lock)).version,
    image: /^\s+org\.opencontainers\.image\.version="([^"]+)"/m.exec(texts.image)?.[1] ?? 'no version',
    chart: chartSchema.parse(parse(texts.chart)).appVersion,
    kustomization: kustomizationSchema.parse(parse(texts.kustomization)).images[0].newTag,
  };
  return [
    ...(tag === `v${version}` ? [] : [`The tag is "${tag}", and package.json has ${version}: tag v${version}.`]),
    ...(texts.changelog.includes(`\n## [${version}] - `)
      ? []
      : [`CHANGELOG.md has no heading "## [${version}] - DATE": move what is under "Unreleased" there.`]),
    ...(['lock', 'image', 'chart', 'kustomization'] as const)
      .filter((file) => found[file] !== version)
      .map((file) => `${versionedFiles[file]} has ${found[file]}, and package.json has ${version}: ${remedies[file]}.`),
  ];
}

const remedies = {
  lock: 'run npm install --package-lock-only',
  image: 'write that into the label org.opencontainers.image.version',
  chart: 'write that into appVersion',
  kustomization: 'write that into newTag',
} as const;
