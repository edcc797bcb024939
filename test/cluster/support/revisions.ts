import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { endings, listObjects, type Pod, podShape } from './objects.ts'
import type { TestRelease } from './release.ts'
import { completed, cronJobOf, tickByHand } from './ticks.ts'
import { waitInCluster } from './wait-in-cluster.ts'

/** By what pods of one revision are known. */
const mark = 'example.com/revision'

/** Values of a release by which its pods are known. */
export const markedAs = (revision: string) => ({ pods: { annotations: { [mark]: revision } } })

export const isMarkedAs =
  (revision: string) =>
  ({ metadata }: Pod): boolean =>
    metadata.annotations[mark] === revision

/** The pods of the release that are there to stay, by their revision; those of ticks have ended. */
const revisions = async (release: TestRelease): Promise<(string | undefined)[]> => {
  const pods = await listObjects(release.namespace, podShape, 'pods')
  return pods.filter(({ status }) => status.phase === 'Running').map(({ metadata }) => metadata.annotations[mark])
}

/** Waits until all pods are of a revision, and the next tick of a step is as well. */
export const isOf = async (release: TestRelease, revision: string, stepId: string): Promise<void> => {
  // Helm does not wait for those that are to end.
  const wanted = ['control-plane', 'rd-station-get-leads', 'database-query'].map(() => revision)
  await waitInCluster(async () => isDeepStrictEqual(await revisions(release), wanted), {
    deadlineMs: 120_000,
    describe: () => revisions(release),
  })
  const job = `of-the-${revision}`
  const cronJob = await cronJobOf(release, stepId, ({ spec }) => {
    return spec.jobTemplate.spec.template.metadata.annotations[mark] === revision
  })
  await tickByHand(release, cronJob.metadata.name, job)
  const pod = await completed(release, job)
  expect(endings(pod).map(({ exitCode }) => exitCode)).toEqual([0, 0])
  expect(isMarkedAs(revision)(pod)).toBe(true)
}
