import * as z from 'zod'
import { cronJobManifest } from '../../../control-plane/src/reconciler/cron-job-manifest.ts'
import { parsePodTemplate } from '../../../control-plane/src/reconciler/pod-template.ts'
import { cronStep } from '../../../control-plane/test/cron-step.ts'
import { type Manifest, readManifests } from './manifests.ts'

const withTemplate = z.object({ data: z.object({ 'pod.json': z.string() }) })

/** The CronJob that the control plane makes of a release's template, for some step. Null where the release has none. */
export const cronJobOf = (manifests: readonly Manifest[]): Manifest | null => {
  const map = manifests.find((object) => object.kind === 'ConfigMap' && withTemplate.safeParse(object).success)
  if (map === undefined) return null
  const template = parsePodTemplate(withTemplate.parse(map).data['pod.json'], map.metadata.name)
  const mould = { anchor: 'an-anchor', database: 'a-database', template }
  const { manifest } = cronJobManifest(cronStep(), { name: 'leads-every-hour-0123456789ab', mould })
  // As it is sent.
  return readManifests(JSON.stringify(manifest))[0] ?? null
}
