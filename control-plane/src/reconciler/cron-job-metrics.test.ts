import { prometheusText } from '@esteira/service'
import { expect, test } from 'vitest'
import { createCronJobMetrics } from './cron-job-metrics.ts'

const lines = (metrics: ReturnType<typeof createCronJobMetrics>): string[] =>
  prometheusText(metrics.read())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))

test('without a cluster nothing is counted', () => {
  expect(lines(createCronJobMetrics())).toEqual([])
})

test('changes are summed up, states are those of the last turn', () => {
  const metrics = createCronJobMetrics()
  metrics.count({ kind: 'lead.taken' })
  for (const created of [2, 3]) {
    metrics.count({ kind: 'cron-jobs.changed', created, changed: 0, verified: 9, deleted: 0, ms: 5 })
    metrics.count({ kind: 'cron-jobs.seen', applied: created, refused: 1, foreign: 0, unreachable: 0 })
  }
  metrics.count({ kind: 'cron-jobs.drifted', count: 4, objects: ['x'] })
  metrics.count({ kind: 'cluster.unavailable', failures: 1, pauseMs: 1, reason: 'no' })
  expect(lines(metrics)).toEqual([
    'esteira_cron_leader 1',
    'esteira_cron_jobs{state="applied"} 3',
    'esteira_cron_jobs{state="refused"} 1',
    'esteira_cron_jobs{state="foreign"} 0',
    'esteira_cron_jobs{state="unreachable"} 0',
    'esteira_cron_job_changes_total{change="created"} 5',
    'esteira_cron_job_changes_total{change="changed"} 0',
    'esteira_cron_job_changes_total{change="deleted"} 0',
    'esteira_cron_job_changes_total{change="repaired"} 4',
    'esteira_cluster_unavailable_total 1',
  ])
})

test('who has lost the lead knows no states', () => {
  const metrics = createCronJobMetrics()
  metrics.count({ kind: 'lead.taken' })
  metrics.count({ kind: 'cron-jobs.seen', applied: 1, refused: 0, foreign: 0, unreachable: 0 })
  metrics.count({ kind: 'lead.lost', reason: 'x' })
  expect(lines(metrics)).toEqual(['esteira_cron_leader 0', 'esteira_cluster_unavailable_total 0'])
})
