import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take a minute and more, most of it in programs that they start. */
export const long: readonly string[] = [
  'test/cluster/scenarios/keda.cluster.test.ts',
  'test/cluster/scenarios/rollouts.cluster.test.ts',
  'test/cluster/scenarios/one-release.cluster.test.ts',
  'test/cluster/scenarios/kills.cluster.test.ts',
  'images/images.cluster.test.ts',
  'test/e2e/npm-start.e2e.test.ts',
  'test/e2e/kills-of-relays.e2e.test.ts',
  'test/e2e/kills-of-workflows.e2e.test.ts',
  'test/e2e/note-cron-job.e2e.test.ts',
  'test/e2e/npm-start-killed.e2e.test.ts',
  'lib/outbox/src/relay/commit-order.integration.test.ts',
  'lib/workflow/src/worker/memory.integration.test.ts',
  'lib/workflow/src/worker/suspect/poison.integration.test.ts',
  'lib/workflow/src/probe/probe-queues.integration.test.ts',
  'lib/workflow/src/worker/suspect/poisoned-streams.integration.test.ts',
  'workers/cron-job/src/main.integration.test.ts',
  'lib/workflow/src/worker/commit/cut-short.integration.test.ts',
  'lib/workflow/src/worker/hold/put-off.integration.test.ts',
  'dev/src/stack/start-stack.integration.test.ts',
]

/**
 * Begins with the files that take longest, so that none of them is left to one worker at the end. Vitest does so by what
 * it knows of earlier runs; of a fresh clone it knows the sizes alone, and some of the smallest files take longest.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort
    return longestFirst(await super.sort(files), ({ moduleId }) => moduleId)
  }
}

/** Moves what is long to the front, in the order of the list, and leaves the others as they are. */
export const longestFirst = <File>(files: readonly File[], pathOf: (file: File) => string): File[] => {
  const place = (file: File): number => {
    const found = long.findIndex((path) => pathOf(file).endsWith(`/${path}`))
    return found < 0 ? long.length : found
  }
  return files.toSorted((one, other) => place(one) - place(other))
}
