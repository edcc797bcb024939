import { createRoles, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine
let roles: Awaited<ReturnType<typeof createRoles>>

// Before the engine's own, so that its database is gone when the roles are dropped.
afterAll(() => roles.drop())

useEngine((opened) => {
  engine = opened
})

beforeAll(async () => {
  roles = await createRoles({ url: engine.databaseUrl })
})

test('a grant that is missing fails no job: their messages come again until it is there, and it is told', async () => {
  const missing = { role: 'worker', privilege: 'insert', table: 'outbox_message' }
  await roles.revoke(missing)
  const worker = await engine.startWorker(
    [functionOf('granted', () => ['a', 'b']), functionOf('granted.next', () => undefined)],
    { databaseUrl: roles.urlFor('worker') },
  )
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'granted', outputType: 'multiple' },
    { functionName: 'granted.next', outputType: null },
  )
  const run = await engine.begin(workflow, [1, 2, 3])
  await waitFor(() => worker.saw('commit.refused').length > 0)
  for (const event of worker.saw('commit.refused')) {
    expect(event).toMatchObject({
      reason: expect.stringMatching(
        /permission denied for table outbox_message; expected "grant insert on outbox_message/,
      ),
    })
  }
  const [back] = worker.saw('delivery.refused')
  expect(back).toMatchObject({ functionName: 'granted', jobId: expect.any(String) })
  expect(worker.saw('job.written')).toEqual([])
  expect(worker.saw('delivery.handed-back')).toEqual([])
  for (const job of (await engine.jobs(run)).slice(1)) expect(job).toMatchObject({ attempt: 0, seq: 1, error: null })

  await roles.grant(missing)
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toHaveLength(1 + 3 + 6)
})
