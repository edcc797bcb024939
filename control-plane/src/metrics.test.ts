import { expect, test } from 'vitest'
import { createMetrics } from './metrics.ts'

test('of the steps whose ticks are overdue there are as many as at the last look', () => {
  const metrics = createMetrics()
  for (const overdue of [2, 1]) metrics.count({ kind: 'ticks.watched', overdue })
  expect(metrics.text()).toMatch(/^esteira_cron_steps_overdue 1$/m)
})

test('jobs that were lost are summed up by their function, and nothing else is counted', () => {
  const metrics = createMetrics()
  expect(metrics.text().trim()).toBe('')
  metrics.count({ kind: 'jobs.lost', functionName: 'Database.query', jobs: 3 })
  metrics.count({ kind: 'probe.begun', functionName: 'Database.query', jobs: 9 })
  metrics.count({ kind: 'jobs.lost', functionName: 'RdStation.getLeads', jobs: 1 })
  metrics.count({ kind: 'jobs.lost', functionName: 'Database.query', jobs: 4 })
  expect(metrics.text().split('\n')).toEqual([
    '# HELP esteira_jobs_lost_total Jobs that were sent again because RabbitMQ had lost their messages.',
    '# TYPE esteira_jobs_lost_total counter',
    'esteira_jobs_lost_total{function="Database.query"} 7',
    'esteira_jobs_lost_total{function="RdStation.getLeads"} 1',
    '',
  ])
})
