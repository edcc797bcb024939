import type { ApiWorkflow } from '@esteira/dev/house'
import { z } from 'zod'
import {
  type CronJob,
  cronJobShape,
  describePods,
  holds,
  jobShape,
  listObjects,
  type Pod,
  podShape,
  readObject,
} from './objects.ts'
import type { TestRelease } from './release.ts'
import { waitInCluster } from './wait-in-cluster.ts'

type InNamespace = Pick<TestRelease, 'namespace'>

const page = z.object({ items: z.array(z.looseObject({ stepId: z.string() })) })

/** What the control plane says of a CronJob step. */
export const toldOf = async ({ api }: TestRelease, stepId: string): Promise<unknown> => {
  const { items } = await api.call(page, 'GET', '/v1/cron-jobs?limit=500')
  return items.find((item) => item.stepId === stepId)
}

/** The step of a workflow that ticks. */
export const stepIdOf = ({ steps }: ApiWorkflow): string => {
  const step = steps.find(({ functionName }) => functionName === 'CronJob')
  if (step === undefined) throw new Error('the workflow has no CronJob step')
  return step.id
}

/** Waits for the CronJob of a step, as it is wanted. */
export const cronJobOf = (
  release: TestRelease,
  stepId: string,
  isWanted: (cronJob: CronJob) => boolean = () => true,
): Promise<CronJob> =>
  waitInCluster(
    async () => {
      const [found] = await listObjects(release.namespace, cronJobShape, 'cronjobs', `esteira.dev/step=${stepId}`)
      return found !== undefined && isWanted(found) && found
    },
    { deadlineMs: 30_000, describe: () => toldOf(release, stepId) },
  )

/** Waits for a Job that Kubernetes makes of a CronJob at its time; the name of the first one. */
export const tickOf = (release: TestRelease, cronJob: string, deadlineMs = 90_000): Promise<string> =>
  waitInCluster(
    async () => {
      const jobs = await listObjects(release.namespace, jobShape, 'jobs')
      return jobs
        .filter(({ metadata }) => metadata.ownerReferences.some(({ name }) => name === cronJob))
        .map(({ metadata }) => metadata.name)
        .toSorted()[0]
    },
    { deadlineMs, describe: () => release.namespace.kubectl(['describe', 'cronjobs']) },
  )

/** Makes a Job of a CronJob by hand, which is a tick of its own. */
export const tickByHand = async ({ namespace }: InNamespace, cronJob: string, job: string): Promise<void> => {
  await namespace.kubectl(['create', 'job', job, '--from', `cronjob/${cronJob}`])
}

/** The pods of a Job, in no order. */
export const podsOfTick = ({ namespace }: InNamespace, job: string): Promise<Pod[]> =>
  listObjects(namespace, podShape, 'pods', `batch.kubernetes.io/job-name=${job}`)

/** Waits until a Job is complete, whatever became of its pods before. */
export const completedAtLast = async ({ namespace }: InNamespace, job: string, deadlineMs = 90_000): Promise<void> => {
  await waitInCluster(async () => holds('Complete', await readObject(namespace, jobShape, 'jobs', job)), {
    deadlineMs,
    describe: () => describePods(namespace),
  })
}

/** Waits until a Job is complete by its first pod; that pod. */
export const completed = async (release: InNamespace, job: string): Promise<Pod> => {
  await completedAtLast(release, job)
  const pods = await podsOfTick(release, job)
  const [pod, another] = pods
  if (pod === undefined || another !== undefined) throw new Error(`the job ${job} has ${pods.length} pods`)
  return pod
}
