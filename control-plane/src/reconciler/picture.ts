import { isDeepStrictEqual } from 'node:util'
import type { Seen } from './cluster/watch-cron-jobs.ts'
import type { Actual } from './plan-changes.ts'

/** Our CronJobs in the cluster as they were listed, with all that was heard of them since. */
export type Picture = {
  objects: () => Actual[]
  /** Takes in what a watch tells. Whether it says anything beyond that a Job began or ended. */
  see: (seen: Seen) => boolean
  /** Takes in what was answered to a change of ours. */
  put: (object: Actual) => void
  drop: (uid: string) => void
}

/**
 * A list and a watch come in any order with the answers to our own changes; of two views of an object the one with the
 * greater version is the newer.
 */
export const createPicture = (listed: readonly Actual[]): Picture => {
  const objects = new Map(listed.map((object) => [object.uid, object]))
  const put = (object: Actual): boolean => {
    const before = objects.get(object.uid)
    if (before !== undefined && !isNewer(object, before)) return false
    objects.set(object.uid, object)
    return before === undefined || !isSame(object, before)
  }
  return {
    objects: () => [...objects.values()],
    see: ({ deleted, object }) => (deleted ? objects.delete(object.uid) : put(object)),
    put,
    drop: (uid) => void objects.delete(uid),
  }
}

/** Versions are numbers without zeros before them, so the longer one is the greater. They may outgrow a number of ours. */
const isNewer = (a: Actual, b: Actual): boolean =>
  a.resourceVersion.length === b.resourceVersion.length
    ? a.resourceVersion > b.resourceVersion
    : a.resourceVersion.length > b.resourceVersion.length

/** Every Job that begins or ends is written into the status of its CronJob, which changes the version and no more. */
const isSame = (a: Actual, b: Actual): boolean =>
  isDeepStrictEqual({ ...a, resourceVersion: '' }, { ...b, resourceVersion: '' })
