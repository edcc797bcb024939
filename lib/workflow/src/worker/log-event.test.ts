import { expect, test } from 'vitest'
import { silentLog } from '../../test/worker-options.ts'
import { logEvent } from './log-event.ts'
import type { WorkerEvent } from './worker-options.ts'

/** What a line of the log says, which is JSON, of an event that is an error. */
const errorOf = (event: WorkerEvent): unknown => {
  let line = ''
  logEvent({ ...silentLog, error: (fields) => (line = JSON.stringify(fields)) }, event)
  return JSON.parse(line)
}

test('a message that went back says why and where, and nothing of the row that Postgres tells of', () => {
  const error = Object.assign(new Error('a row was refused'), { detail: 'Failing row contains (Ana Souza).' })
  const of = { functionName: 'Database.query', jobId: 'a-job' }
  const line = errorOf({ kind: 'delivery.handed-back', ...of, error })
  expect(line).toEqual({
    event: 'delivery.handed-back',
    ...of,
    reason: 'a row was refused',
    stack: expect.stringContaining('log-event.test.ts'),
  })
})

test('commits that wait for the locks of others are a warning: nothing is lost by that', () => {
  const lines: unknown[] = []
  const log = { ...silentLog, warn: (line: object) => lines.push(line) }
  const event: WorkerEvent = { kind: 'commit.held-up', jobs: 3, reason: 'canceling statement due to lock timeout' }
  logEvent(log, event)
  expect(lines).toEqual([{ event: event.kind, jobs: event.jobs, reason: event.reason }])
})
