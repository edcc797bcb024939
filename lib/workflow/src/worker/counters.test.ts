import { expect, test } from 'vitest'
import { WorkflowError } from '../errors.ts'
import { createCounters } from './counters.ts'

const written = (functionName: string, ending: 'succeeded' | 'cancelled') =>
  ({ kind: 'job.written', functionName, jobId: 'a', ending }) as const

test('jobs are counted by function and ending, dropped deliveries by why, and no id becomes a label', () => {
  const counters = createCounters()
  counters.observe(written('Leads.save', 'succeeded'))
  counters.observe(written('Leads.save', 'succeeded'))
  counters.observe(written('Leads.save', 'cancelled'))
  counters.observe({ kind: 'job.written', functionName: 'Leads.get', jobId: 'b', ending: 'failed', error: null })
  counters.observe({ kind: 'delivery.dropped', functionName: 'Leads.save', jobId: 'c', reason: 'unknown job' })
  expect(counters.text()).toBe(
    [
      '# HELP esteira_worker_jobs_total attempts at jobs whose end this worker has written, by how they ended',
      '# TYPE esteira_worker_jobs_total counter',
      'esteira_worker_jobs_total{function="Leads.save",ending="succeeded"} 2',
      'esteira_worker_jobs_total{function="Leads.save",ending="cancelled"} 1',
      'esteira_worker_jobs_total{function="Leads.get",ending="failed"} 1',
      '# HELP esteira_worker_deliveries_dropped_total deliveries that brought nothing to do, by why',
      '# TYPE esteira_worker_deliveries_dropped_total counter',
      'esteira_worker_deliveries_dropped_total{function="Leads.save",reason="unknown job"} 1',
      '',
    ].join('\n'),
  )
})

test('functions that run on after their time are counted, and how often they left no place', () => {
  const counters = createCounters()
  counters.observe({ kind: 'function.abandoned', functionName: 'Leads.get', jobId: 'a', running: 1 })
  counters.observe({ kind: 'function.abandoned', functionName: 'Leads.get', jobId: 'b', running: 2 })
  counters.observe({ kind: 'function.stuck', functionName: 'Leads.get', running: 2 })
  expect(counters.text()).toContain('esteira_worker_functions_abandoned_total{function="Leads.get"} 2\n')
  expect(counters.text()).toContain('esteira_worker_functions_stuck_total{function="Leads.get"} 1\n')
})

test('deliveries that come again are counted by function and by whose fault it was', () => {
  const counters = createCounters()
  const of = { functionName: 'Leads.save', jobId: 'a' }
  const denied = Object.assign(new Error('permission denied for table workflow_job'), { code: '42501' })
  const gone = Object.assign(new Error('the server is away'), { code: 'ECONNREFUSED' })
  const stopped = new WorkflowError('worker_stopped', 'it goes back', { cause: denied })
  counters.observe({ kind: 'delivery.refused', ...of })
  counters.observe({ kind: 'delivery.refused', ...of })
  counters.observe({ kind: 'delivery.handed-back', ...of, error: denied })
  counters.observe({ kind: 'delivery.handed-back', ...of, error: gone })
  counters.observe({ kind: 'delivery.handed-back', ...of, error: stopped })
  const name = 'esteira_worker_deliveries_handed_back_total'
  expect(counters.text()).toContain(
    `${name}{function="Leads.save",reason="refused"} 2\n` +
      `${name}{function="Leads.save",reason="house"} 1\n` +
      `${name}{function="Leads.save",reason="moment"} 1\n` +
      `${name}{function="Leads.save",reason="stopped"} 1\n`,
  )
})

test('results that are refused are counted by how many went together, and faults of the belt by queue', () => {
  const counters = createCounters()
  counters.observe({ kind: 'commit.refused', jobs: 3, reason: 'permission denied' })
  counters.observe({ kind: 'commit.refused', jobs: 1, reason: 'permission denied' })
  counters.observe({ kind: 'belt.fault', queue: 'Leads.get', reason: 'deleted' })
  counters.observe({ kind: 'belt.fault', queue: 'Leads.save', reason: 'deleted' })
  counters.observe({ kind: 'belt.fault', queue: 'Leads.save', reason: 'deleted' })
  counters.observe({ kind: 'belt.unreadable', queue: 'Leads.save', reason: 'no JSON' })
  const text = counters.text()
  expect(text).toContain('esteira_worker_results_refused_total 4\n')
  expect(text).toContain(
    'esteira_worker_belt_faults_total{queue="Leads.get"} 1\nesteira_worker_belt_faults_total{queue="Leads.save"} 2\n',
  )
  expect(text).toContain('esteira_worker_messages_unreadable_total{queue="Leads.save"} 1\n')
})

test('a function counts what it likes to', () => {
  const counters = createCounters()
  counters.count('esteira_statements_failed_total', { connection: 'crm' })
  counters.count('esteira_statements_failed_total', { connection: 'crm' })
  counters.count('esteira_statements_failed_total', { connection: 'erp' })
  expect(counters.text()).toContain(
    'esteira_statements_failed_total{connection="crm"} 2\nesteira_statements_failed_total{connection="erp"} 1\n',
  )
})

test('a worker is ready while it has its belt', () => {
  const counters = createCounters()
  expect(counters.isOnBelt()).toBe(true)
  counters.observe({ kind: 'belt.lost', address: 'amqp://host', reason: 'gone' })
  expect(counters.isOnBelt()).toBe(false)
  counters.observe({ kind: 'belt.back', address: 'amqp://host' })
  expect(counters.isOnBelt()).toBe(true)
})
