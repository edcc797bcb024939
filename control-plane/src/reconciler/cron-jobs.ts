import type { Answer, NoAnswer } from './cluster/answer.ts'
import { type Listed, listCronJobs } from './cluster/list-cron-jobs.ts'
import type { Cluster } from './cluster/open-cluster.ts'
import { readAnchor } from './cluster/read-anchor.ts'
import { type Watch, watchCronJobs } from './cluster/watch-cron-jobs.ts'
import { type Anchor, type Application, applyCronJob, deleteCronJob, findCronJob } from './cluster/write-cron-jobs.ts'
import { ownSelector } from './labels.ts'
import type { Actual } from './plan-changes.ts'

/** The CronJobs of a release, and what they hang on: all that the reconciler wants of a cluster. */
export type CronJobs = {
  anchor: () => Promise<Answer<Anchor>>
  list: () => Promise<Answer<Listed>>
  watch: (watch: Omit<Watch, 'selector'>, signal: AbortSignal) => Promise<{ kind: 'ended' } | NoAnswer>
  find: (name: string) => Promise<Answer<Actual>>
  apply: (application: Application) => Promise<Answer<Actual>>
  remove: (object: { name: string; uid: string }) => Promise<Answer<null>>
}

/** `signal` breaks off the calls that are under way. */
export const cronJobsOf = (cluster: Cluster, anchor: string, signal: AbortSignal): CronJobs => {
  const selector = ownSelector(anchor)
  return {
    anchor: () => readAnchor(cluster, anchor, signal),
    list: () => listCronJobs(cluster, selector, signal),
    watch: (watch, until) => watchCronJobs(cluster, { ...watch, selector }, AbortSignal.any([signal, until])),
    find: (name) => findCronJob(cluster, name, signal),
    apply: (application) => applyCronJob(cluster, application, signal),
    remove: (object) => deleteCronJob(cluster, object, signal),
  }
}
