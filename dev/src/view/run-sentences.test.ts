import { expect, test } from 'vitest'
import { endOf, failureOf, progressOf, stillOf } from './run-sentences.ts'

const run = {
  id: 'r',
  trigger: 'cron',
  idempotencyKey: 'k',
  status: 'running',
  createdAt: '2026-01-01T12:00:00Z',
  steps: [
    { name: 'get leads', staged: 0, belt: 0, succeeded: 1, failed: 0, cancelled: 0 },
    { name: 'save lead', staged: 3, belt: 4, succeeded: 0, failed: 0, cancelled: 0 },
  ],
}

test('one job is no "jobs"', () => {
  expect(progressOf(run)).toBe('run r: 1 job done, 7 waiting')
  expect(progressOf({ ...run, steps: [...run.steps, ...run.steps] })).toBe('run r: 2 jobs done, 14 waiting')
})

test('of a run that stands still it is said for how long, and what the last attempt failed with', () => {
  expect(stillOf(10_200, null)).toBe('nothing has moved for 10 s')
  expect(stillOf(20_000, 'connect ECONNREFUSED')).toBe(
    'nothing has moved for 20 s, the last attempt ended with: connect ECONNREFUSED',
  )
})

test('the end of a run says what came of it', () => {
  const end = { run: 'r', status: 'succeeded', jobs: 52, leads: 1, seconds: 1.5 }
  expect(endOf(end)).toBe('run r succeeded: 52 jobs in 1.5 s, 1 lead saved')
})

test('a failure says the error of a job and the commands that show all of them and each attempt at it', () => {
  const job = { id: 'j', error: { code: 'bad_thing', message: 'no table' } }
  expect(failureOf('r', 2, job, 'http://127.0.0.1:8080')).toEqual([
    '2 jobs failed, the last with bad_thing: no table',
    expect.stringContaining('npm start'),
    `  curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" 'http://127.0.0.1:8080/v1/jobs?runId=r&status=failed'`,
    `  curl -H "authorization: Bearer $ESTEIRA_ADMIN_TOKEN" 'http://127.0.0.1:8080/v1/jobs/j/attempts'`,
  ])
})
