import type { CronJobManifest } from '../cron-job-manifest.ts'
import { fieldManager } from '../labels.ts'
import type { Actual } from '../plan-changes.ts'
import { type Answer, mapAnswer } from './answer.ts'
import { accept, call } from './call.ts'
import { cronJobsPath } from './list-cron-jobs.ts'
import type { Cluster } from './open-cluster.ts'
import { readMetadata } from './read-metadata.ts'

/** The object that a CronJob hangs on: when it goes, the cluster removes what hangs on it. */
export type Anchor = { name: string; uid: string }

export type Application = {
  manifest: CronJobManifest
  anchor: Anchor
  /** Of the object that is to be changed; null makes one, and changes none that is there. */
  uid: string | null
}

/** The object of a name, whoever's it is. */
export const findCronJob = async (cluster: Cluster, name: string, signal: AbortSignal): Promise<Answer<Actual>> => {
  const headers = { accept: accept.metadata }
  const answer = await call(cluster, { method: 'GET', path: cronJobsPath(cluster, name), headers }, signal)
  return mapAnswer(answer, readMetadata)
}

/**
 * Writes a CronJob by server-side apply. What of it somebody else wrote is taken over; fields that others added stay. The
 * uid sees to it that no other object is written that has taken the name. Where none is given nothing is taken over
 * either: whoever was faster with the name has written every field that we would, so it is a conflict.
 */
export const applyCronJob = async (
  cluster: Cluster,
  { manifest, anchor, uid }: Application,
  signal: AbortSignal,
): Promise<Answer<Actual>> => {
  const { metadata } = manifest
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', ...anchor }]
  const body = { ...manifest, metadata: { ...metadata, ...(uid === null ? {} : { uid }), ownerReferences } }
  const query = { fieldManager, force: String(uid !== null), fieldValidation: 'Strict' }
  // JSON is YAML.
  const headers = { accept: accept.metadata, 'content-type': 'application/apply-patch+yaml' }
  const path = cronJobsPath(cluster, metadata.name)
  const answer = await call(cluster, { method: 'PATCH', path, query, headers, body: JSON.stringify(body) }, signal)
  return mapAnswer(answer, readMetadata)
}

/** Deletes this very object, with its Jobs. */
export const deleteCronJob = async (
  cluster: Cluster,
  { name, uid }: { name: string; uid: string },
  signal: AbortSignal,
): Promise<Answer<null>> => {
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions: { uid } }
  const headers = { 'content-type': 'application/json' }
  const path = cronJobsPath(cluster, name)
  const answer = await call(cluster, { method: 'DELETE', path, headers, body: JSON.stringify(body) }, signal)
  return mapAnswer(answer, () => null)
}
