import { join } from 'node:path'
import { type Release, root, withRelease } from './helm.ts'
import { type Manifest, readManifests } from './manifests.ts'

/** A file of values of these tests. */
export const valuesFile = (name: string): string => join(root, 'test/charts/values', `${name}.yaml`)

const usual = { name: 'my', namespace: 'shop' }

/** What a release would send to Kubernetes. Many tests ask for the same, which helm takes its time for. */
export const render = ({ title: _title, ...given }: Release & { title?: string }): Promise<readonly Manifest[]> => {
  const release = { ...usual, ...given }
  const key = JSON.stringify(release)
  const found = rendered.get(key) ?? renderNow(release)
  rendered.set(key, found)
  // Those of all files, of which the next may have more luck.
  found.catch(() => rendered.delete(key))
  return found
}

const rendered = new Map<string, Promise<readonly Manifest[]>>()

const renderNow = async (release: Release): Promise<readonly Manifest[]> => {
  const said = await withRelease(['template'], release)
  if (!said.ok) throw new Error(said.words)
  return readManifests(said.stdout)
}

/** Why a release is refused. */
export const refusalOf = async (release: Release): Promise<string> => {
  const said = await withRelease(['template'], { ...usual, ...release })
  if (said.ok) throw new Error('the release was not refused')
  return said.words
}

/** The least values that a release needs. */
export const least = valuesFile('minimal')

/** Releases of all kinds, each with a file of values. */
export const matrix: readonly (Release & { title: string; files: readonly string[] })[] = [
  { title: 'the least', files: [least] },
  { title: 'everything', files: [valuesFile('everything')] },
  { title: 'functions of one’s own', files: [least, valuesFile('own-functions')] },
  { title: 'scaled by KEDA', files: [least, valuesFile('scaled')] },
  { title: 'a role a component', files: [least, valuesFile('roles')] },
  { title: 'pods with IPv6 alone', files: [least, valuesFile('ipv6')] },
  { title: 'without ticks', files: [least, valuesFile('own-functions')], set: ['cron.enabled=false'] },
  {
    title: 'a long name in another namespace',
    name: 'a-release-whose-name-is-as-long-as-helm-will-have-it0',
    namespace: 'a-namespace-with-a-name-of-its-own',
    files: [least, valuesFile('own-functions')],
    set: ['nameOverride=another-name-for-the-chart'],
  },
  { title: 'names that are no texts to YAML', name: 'on', namespace: '123', files: [least, valuesFile('names')] },
  { title: 'a name given in full', files: [least, valuesFile('scaled')], set: ['fullnameOverride=belt'] },
]
