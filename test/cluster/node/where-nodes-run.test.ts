import { expect, test } from 'vitest'
import { refuseWhereNoNodeRuns } from './where-nodes-run.ts'

const fitting = { platform: 'linux', user: 0, hasCgroups: true } as const

test('a machine on which no node runs is told what it lacks, and the other ways', () => {
  expect(() => refuseWhereNoNodeRuns(fitting)).not.toThrow()
  const lacking = { platform: 'darwin', user: 501, hasCgroups: false } as const
  expect(() => refuseWhereNoNodeRuns(lacking)).toThrow(
    /need Linux, root, cgroups\. ESTEIRA_TEST_KUBECONFIG .*--project charts --project api/,
  )
  expect(() => refuseWhereNoNodeRuns({ ...fitting, user: 1000 })).toThrow('need root.')
  expect(() => refuseWhereNoNodeRuns({ ...fitting, user: undefined })).toThrow('need root.')
})
