import type { Answer } from './answer.ts'
import { accept, call } from './call.ts'
import type { Cluster } from './open-cluster.ts'
import { readMetadata } from './read-metadata.ts'
import type { Anchor } from './write-cron-jobs.ts'

/** The anchor of a release. One that is being deleted is missing already: what were made now would be swept away. */
export const readAnchor = async (cluster: Cluster, name: string, signal: AbortSignal): Promise<Answer<Anchor>> => {
  const path = `/api/v1/namespaces/${encodeURIComponent(cluster.namespace)}/configmaps/${encodeURIComponent(name)}`
  const answer = await call(cluster, { method: 'GET', path, headers: { accept: accept.metadata } }, signal)
  if (answer.kind !== 'ok') return answer
  const { uid, deleting } = readMetadata(answer.value)
  return deleting
    ? { kind: 'missing', words: `configmaps "${name}" is being deleted` }
    : { kind: 'ok', value: { name, uid } }
}
